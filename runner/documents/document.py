"""One text as a CRDT, in memory. Not thread-safe: used on the event loop only.

Positions are UTF-8 bytes, as pycrdt 0.14.13 counts them (later versions count characters: the version is pinned and a
test says so).
"""

import secrets
from collections.abc import Sequence

from pycrdt import Doc, Text, merge_updates

from runner.workspace import Splice

ROOT = "content"  # the name of the text inside the Y document, agreed with the browser
EMPTY_UPDATE = b"\x00\x00"


class BadUpdate(ValueError):
    """The bytes are not an update of a Y document."""


class Document:
    """A Y document that holds one text. What changes it returns the change as an update for the other replicas."""

    def __init__(self, text: bytes = b"") -> None:
        self.guid = secrets.token_hex(8)  # names this history: replicas of another one must not be merged with it
        self.version = 0  # raised by every change
        self._doc: Doc[Text] = Doc()
        self._text = self._doc.get(ROOT, type=Text)
        if text:
            self._text.insert(0, text.decode())
        self._changes: list[bytes] = []
        # closes over the list, not over self: a Y document in a reference cycle might be collected in another thread
        changes = self._changes
        self._subscription = self._doc.observe(lambda event: changes.append(event.update))

    def __len__(self) -> int:
        """Bytes of the text."""
        return len(self._text)

    def text(self) -> bytes:
        return str(self._text).encode()

    def is_plain(self, text: bytes) -> bool:
        """Whether `text` is all there is. A replica may embed objects, or line ends editors count differently."""
        return len(self) == len(text) and b"\r" not in text and b"\0" not in text

    def state(self) -> bytes:
        """The state vector: what this replica has seen."""
        return self._doc.get_state()

    def everything(self) -> bytes:
        """The whole history as one update."""
        return self._doc.get_update()

    def update_since(self, state: bytes) -> bytes:
        """What a replica with that state vector lacks. Raises BadUpdate."""
        _check_count(state)
        try:
            return self._doc.get_update(state)
        except ValueError as error:
            raise BadUpdate(str(error)) from error

    def apply(self, update: bytes) -> bytes:
        """Take in another replica's change; returns what was new, maybe nothing. Raises BadUpdate."""
        _check_count(update)
        try:
            self._doc.apply_update(update)
        except ValueError as error:
            raise BadUpdate(str(error)) from error
        return self._change()

    def merge(self, past: bytes, splices: Sequence[Splice]) -> tuple[bytes, bytes]:
        """Take in a change made to the text as it stood at `past` (from `everything`).

        Returns the change and the past with the change. It is made in a fork that stands at `past` and merged like any
        other replica's, so that what was typed meanwhile survives and carets stay where they were.
        """
        fork: Doc[Text] = Doc()
        fork.apply_update(past)
        text = fork.get(ROOT, type=Text)
        before = fork.get_state()
        shift = 0
        with fork.transaction():
            for start, delete, insert in splices:  # ascending: many times faster in a large text than descending
                at = start + shift
                if delete:
                    del text[at : at + delete]
                if insert:
                    text.insert(at, insert.decode())
                shift += len(insert) - delete
        self._doc.apply_update(fork.get_update(before))
        return self._change(), fork.get_update()

    def _change(self) -> bytes:
        changes = [change for change in self._changes if change != EMPTY_UPDATE]
        self._changes.clear()
        self.version += len(changes)
        return merge_updates(*changes) if len(changes) > 1 else b"".join(changes)


def _check_count(data: bytes) -> None:
    """Both begin with a number of clients, for which yrs makes room before it reads on: 20 bytes could claim 4 GB."""
    count = 0
    for i, byte in enumerate(data[:5]):
        count |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            break
    else:
        raise BadUpdate("the number of clients does not end")
    if count >= len(data) and count:
        raise BadUpdate("more clients than bytes")
