"""A Tiebreak site from Python: `Tiebreak(url, token)`. The guide is docs/client.md."""

from tiebreak_client.client import Tiebreak
from tiebreak_client.errors import (
    BadAnswer,
    Conflict,
    DamagedFile,
    Invalid,
    NoAnswer,
    NotAllowed,
    NotFound,
    Refused,
    RunEnded,
    ScopeMissing,
    ServerFault,
    TiebreakError,
    TokenRefused,
    TooManyRequests,
    Unreadable,
)

__all__ = [
    "BadAnswer",
    "Conflict",
    "DamagedFile",
    "Invalid",
    "NoAnswer",
    "NotAllowed",
    "NotFound",
    "Refused",
    "RunEnded",
    "ScopeMissing",
    "ServerFault",
    "Tiebreak",
    "TiebreakError",
    "TokenRefused",
    "TooManyRequests",
    "Unreadable",
]
