"""The one error of this package."""


class ProtocolError(Exception):
    """The other end sent (or this end was asked to send) what the protocol does not allow: close the connection."""
