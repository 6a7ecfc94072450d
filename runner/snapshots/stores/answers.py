"""What the refusals of an S3 server mean. Pure."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from runner.snapshots.stores.store import StoreError

_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")

_PASSING: Final = {  # told with a status of the 400s, but it is the moment that is at fault, or bytes that were lost
    "BadDigest",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}
_CLOCK: Final = {"RequestTimeTooSkewed", "RequestInTheFuture", "RequestExpired"}
_NOT_LET_IN: Final = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "NotSignedUp"}
_RUN_OUT: Final = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"}
_EXPIRED: Final = _RUN_OUT | {"AccessDenied", "RequestExpired", "ExpiredPresignRequest"}
_FULL: Final = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "StorageFull"}
_ELSEWHERE: Final = {
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}


class Refusal(StoreError):
    """What the server answered instead."""

    def __init__(self, answered: int, code: str, message: str, *, retryable: bool, action: str) -> None:
        super().__init__(message, retryable=retryable, action=action)
        self.answered = answered
        self.said = code

    @property
    def is_missing(self) -> bool:
        """By its code only: a page of somebody in between is no word on an object."""
        return self.said == "NoSuchKey"

    @property
    def is_taken(self) -> bool:
        """The key exists (412), or another writer is at it (409)."""
        return self.answered in (409, 412)

    @property
    def is_past_the_end(self) -> bool:
        return self.answered == 416

    @property
    def may_have_expired(self) -> bool:
        """Of a signed request. Servers do not agree on how to say it."""
        return self.answered in (400, 401, 403) and self.said in _EXPIRED

    @property
    def is_unknown(self) -> bool:
        """The server does not know what a header asks for."""
        return self.answered == 501


def code_in(body: bytes) -> str:
    """The error code in an answer's XML; "" when there is none. A pattern: what strangers send is not parsed as XML."""
    found = _CODE.search(body)
    return found[1].decode() if found else ""


def refusal(answered: int, code: str, date: str, now: datetime) -> Refusal:
    """`answered` is the status; `date` the answer's header, "" without one."""
    message, retryable, action = _meaning(answered, code, date, now)
    return Refusal(answered, code, message, retryable=retryable, action=action)


def _meaning(status: int, code: str, date: str, now: datetime) -> tuple[str, bool, str]:
    if code in _CLOCK:
        apart = _apart(date, now)
        message = f"The store refuses what this machine sends because their clocks differ{apart}."
        return message, False, "Ask the operator to set this machine's clock, or the store's."
    if code in _FULL or status == 507:
        return "The store is full.", True, "Ask the operator to make room in it."
    if code in _PASSING or status >= 500 or status == 429:
        message = f"The store is overloaded or broken for now ({_name(status, code)})."
        return message, status != 501, "Try again; if it stays, ask the operator."
    return _permanent(status, code), False, "Ask the operator to correct the store's settings."


def _permanent(status: int, code: str) -> str:
    if code == "NoSuchBucket":
        return "The store's bucket does not exist."
    if code in _ELSEWHERE or status in (301, 302, 307, 308):
        return "The store's bucket is in another region or at another address."
    if code in _NOT_LET_IN:
        return f"The store does not accept the access key ({code})."
    if code in _RUN_OUT:
        return f"The access to the store has run out ({code})."
    if status in (401, 403) or code == "AccessDenied":
        return f"The store forbids this ({_name(status, code)})."
    return f"The store does not understand DEVEX ({_name(status, code)})."


def _name(status: int, code: str) -> str:
    return code[:64] if code and status < 300 else f"{status} {code[:64]}".removesuffix(f" {status}").strip()


def _apart(date: str, now: datetime) -> str:
    """` by 61 minutes`, as far as it can be told."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return ""
    apart = abs((theirs.replace(tzinfo=theirs.tzinfo or UTC) - now).total_seconds())
    return f" by {round(apart / 60)} minutes"
