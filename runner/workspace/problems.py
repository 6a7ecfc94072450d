"""What the operating system refuses, said so that a person can act on it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from runner.errors import DevexError
from runner.workspace.paths import display

# errno -> code, sentence about {it}, action, HTTP status
_KNOWN = {
    errno.ENOENT: ("not_found", "{it} does not exist.", "Check the name, or refresh the file tree.", 404),
    errno.ENOTDIR: ("not_a_folder", "A part of {it} is not a folder.", "Check the path.", 409),
    errno.EISDIR: ("is_a_folder", "{it} is a folder.", "Choose a file.", 409),
    errno.EEXIST: ("exists", "{it} already exists.", "Choose another name.", 409),
    errno.ENOTEMPTY: ("exists", "{it} already exists and is not empty.", "Choose another name.", 409),
    errno.ELOOP: (
        "symlink",
        "{it} leads through a symbolic link.",
        "Open the file under its own path, or use the terminal.",
        403,
    ),
    errno.EXDEV: ("outside", "{it} leads out of the workspace.", "Choose a path inside the workspace.", 403),
    errno.EACCES: (
        "no_permission",
        "{it} may not be accessed.",
        "Change its permissions in the terminal (chmod).",
        403,
    ),
    errno.EPERM: ("no_permission", "{it} may not be changed.", "Change its permissions in the terminal.", 403),
    errno.EROFS: (
        "read_only",
        "{it} is on a read-only disk.",
        "Ask the administrator to check the server's disk.",
        403,
    ),
    errno.ENXIO: ("not_a_file", "{it} is not a regular file.", "Use the terminal for pipes, sockets and devices.", 409),
    errno.ENAMETOOLONG: ("bad_path", "The name of {it} is too long.", "Choose a shorter name.", 400),
    errno.EINVAL: ("bad_request", "This cannot be done with {it}.", "Check the path.", 409),
    errno.ETXTBSY: ("busy", "{it} is being run.", "Stop the program, then try again.", 409),
    errno.EAGAIN: ("busy", "{it} is being written.", "Wait until that is done, then try again.", 409),
    errno.EBUSY: ("busy", "{it} is in use.", "Stop what uses it, then try again.", 409),
    errno.EFBIG: ("too_large", "{it} is too large.", "Use the terminal for files of this size.", 413),
    errno.EMLINK: ("too_many", "The folder of {it} holds too many entries.", "Choose another folder.", 409),
    errno.EMFILE: ("overloaded", "The server has too many files open.", "Try again in a moment.", 503),
    errno.ENFILE: ("overloaded", "The server has too many files open.", "Try again in a moment.", 503),
    errno.ENOSPC: ("disk_full", "The disk is full: {it} was not written.", "Delete files, then try again.", 507),
    errno.EDQUOT: ("disk_full", "The disk is full: {it} was not written.", "Delete files, then try again.", 507),
}
_RETRYABLE = {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ETXTBSY, errno.EBUSY, errno.EAGAIN}


def explain(error: OSError, path: str) -> DevexError:
    """The DevexError for what happened at `path`; unknown ones are the server's fault (500)."""
    number = error.errno or 0
    unknown = ("disk_error", "The disk failed at {it}.", "Try again; if it goes on, tell the administrator.", 500)
    code, message, action, status = _KNOWN.get(number, unknown)
    it = f"“{display(path)}”" if path else "the workspace"
    message = message.format(it=it)
    return DevexError(
        code, message[0].upper() + message[1:], action, status=status, retryable=number in _RETRYABLE or status == 500
    )


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn an OSError of the block into its DevexError."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error
