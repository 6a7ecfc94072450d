"""Text files that several people and programs edit at once: a CRDT per open file, kept equal to the file on disk.

textdiff and document are pure; disk touches files through the workspace; room ties the two together for one file; rooms
holds those that are open; wire is the message format of the browser's connection and connection answers it.
"""
