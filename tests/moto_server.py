"""moto's S3 server, which keeps conditions also of writers at once: it looks first and writes then, in threads.

`python tests/moto_server.py -H HOST -p PORT`
"""

from threading import Lock
from typing import Any

from moto.s3.responses import S3Response
from moto.server import main

Answer = tuple[int, dict[str, Any], str | bytes]

_writing = Lock()
_put_object = S3Response.put_object


def _one_at_a_time(self: S3Response) -> Answer:
    with _writing:
        return _put_object(self)


if __name__ == "__main__":
    S3Response.put_object = _one_at_a_time  # type: ignore[method-assign]
    main()
