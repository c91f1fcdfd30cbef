"""What can go wrong, each a type of its own and one sentence for a person."""

from collections.abc import Mapping
from typing import Any


class TiebreakError(Exception):
    """Everything that this package raises by itself."""


class NoAnswer(TiebreakError):
    """The site could not be reached, or broke off, also after trying again."""


class BadAnswer(TiebreakError):
    """The site answered something that this version of the client does not understand."""


class DamagedFile(TiebreakError):
    """What was received or sent is not what its hash says. Nothing was left under its name."""


class Refused(TiebreakError):
    """The site understood and said no: `status` of HTTP, `code` for programs, its sentence."""

    def __init__(
        self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details: Mapping[str, Any] = details or {}


class Unreadable(Refused):
    """400: an entry is missing, unknown or of the wrong type."""


class TokenRefused(Refused):
    """401: the token is unknown, expired or revoked. Make another on the page /tokens/."""


class NotAllowed(Refused):
    """403: the role of the token's owner does not allow it."""


class ScopeMissing(NotAllowed):
    """403: the token was made without the scope that this needs."""


class NotFound(Refused):
    """404: there is no such thing, or it is not yours."""


class Conflict(Refused):
    """409: something else stands there by now."""


class Invalid(Refused):
    """422: read, and not possible like this."""


class TooManyRequests(Refused):
    """429, also after waiting as long as the site asked."""


class ServerFault(Refused):
    """5xx: a fault of the site; its operator finds it in the log."""


class RunEnded(TiebreakError):
    """A run that was waited for has not succeeded."""

    def __init__(self, run_id: int, state: str, message: str) -> None:
        super().__init__(message)
        self.run_id, self.state = run_id, state


_BY_STATUS: Mapping[int, type[Refused]] = {
    400: Unreadable,
    401: TokenRefused,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    422: Invalid,
    429: TooManyRequests,
}


def refusal(status: int, body: Any) -> Refused:
    """The error of an answer `{"error": sentence, "code": word, ...}`."""
    known = dict(body) if isinstance(body, Mapping) else {}
    message = str(known.pop("error", "")) or f"The site answered {status} without a sentence."
    code = str(known.pop("code", ""))
    if code == "scope_missing":
        return ScopeMissing(status, code, message, known)
    fallback = ServerFault if status >= 500 else Refused
    return _BY_STATUS.get(status, fallback)(status, code, message, known)
