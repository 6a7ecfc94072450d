"""The worker process, so that neither the time nor the memory of hashing, compressing and scanning is the server's.

`workers` and `process` are the server's end; the other is `python -m runner.snapshots.worker`. Jobs come on its
standard input, answers go to its standard output, in `frames`.

A job is {"id", "do", "store", "prefix", ...}; its answers are any number of {"id", "progress"}, {"id", "piece"} with
data, and one {"id", "result"}, {"id", "error"} or, when it was cancelled, {"id", "cancelled"}. Of jobs that are done
one after another {"id", "turn"} tells that one begins. {"id", "next"} asks for one more piece, {"id", "cancel"} ends
a job, the end of the input ends all. {"ask", "question"} asks the server what only it knows, such as a signature; it
answers with {"ask", "answer"}.
"""
