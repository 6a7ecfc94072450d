"""What goes wrong in a way a person can do something about: one sentence, one action."""

import secrets


class DevexError(Exception):
    """A refusal or a failure; `code` is stable for programs, `message` and `action` are for people.

    `status` is the HTTP status it answers with; `retryable` says whether the same request may succeed later.
    """

    retry_after_s: int | None = None  # when it may succeed, where that is known

    def __init__(self, code: str, message: str, action: str, *, status: int = 400, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.action = action
        self.status = status
        self.retryable = retryable
        self.id = secrets.token_hex(4)  # joins what the user sees with the line in the log

    def body(self) -> dict[str, dict[str, str]]:
        """The JSON body of the answer."""
        return {"error": {"code": self.code, "message": self.message, "action": self.action, "id": self.id}}
