"""Lines of the logs: JSON with the ids of request, run, fence and rank, or plain text for people.

    with bound(run=7, fence=2): logger.info("starts")
    {"at": "2026-…Z", "level": "INFO", "logger": "…", "message": "starts", "run": 7, "fence": 2}

The same lines come from the site, from workers and from trainers, which have no Django. What a user
wrote can forge no line: control characters are escaped. What looks like a secret is masked.
"""

import contextlib
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from io import TextIOBase
from typing import Any, Final, TextIO

# The environment variable that says which of the two, and their names.
FORMAT: Final = "TIEBREAK_LOG_FORMAT"
JSON: Final = "json"
TEXT: Final = "text"

_LONGEST: Final = 20_000  # of one message, in characters
_IDS: ContextVar[Mapping[str, object]] = ContextVar("tiebreak_log_ids", default={})  # noqa: B039
_ALWAYS: dict[str, object] = {}  # of a process that does one thing all its life

_MASK: Final = "***"
_NAMES: Final = (
    r"password|passwd|pwd|secret(?:[_-]?key)?|api[_-]?key|access[_-]?key|token|authorization|"
    r"cookie|sessionid|csrftoken|credentials?"
)
# What stands before a secret is kept, so that one sees which it was.
_SECRETS: Final = (
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.I),
    re.compile(r"(\b(?:bearer|basic|token)\s+)[A-Za-z0-9._~+/=-]{8,}", re.I),
    re.compile(rf"""((?:{_NAMES})["']?\s*[:=]\s*["']?)(?!\*\*\*)[^\s"',;&}}]+""", re.I),
    re.compile(r"(\b(?:AKIA|ASIA)[A-Z0-9]{4})[A-Z0-9]{12}\b"),
    re.compile(r"(\b(?:hf|ghp|gho|ghs|sk|tb)[_-])[A-Za-z0-9_-]{16,}"),
    re.compile(r"(\beyJ)[\w-]{8,}\.[\w-]{8,}\.[\w-]+"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|$)", re.S),
    re.compile(r"([?&](?:s|sig|signature|X-Amz-Signature|X-Amz-Credential)=)[^&\s\"']+"),
)
# C0 and C1 controls, and the marks that turn or part lines on a terminal.
_CONTROLS: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@contextlib.contextmanager
def bound(**ids: object) -> Iterator[None]:
    """What is logged inside carries these ids, in this thread or task alone."""
    mark = _IDS.set({**_IDS.get(), **ids})
    try:
        yield
    finally:
        _IDS.reset(mark)


def ids() -> Mapping[str, object]:
    """Those that are bound here."""
    return {**_ALWAYS, **_IDS.get()}


def masked(text: str) -> str:
    """The text without passwords, tokens, keys and signatures."""
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<1>{_MASK}", text)
    return text


def inert(text: str) -> str:
    """Control characters and line ends as their escapes: one message is one line."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def _said(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except (TypeError, ValueError) as error:  # of a library that logs badly: nothing is lost
        text = f"{record.msg!r} {record.args!r} ({error})"
    return masked(text[:_LONGEST])


class JsonLines(logging.Formatter):
    """One JSON object per line. Whatever stands in a message, it is inside a JSON string."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": inert(_said(record)),
            **ids(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=True, default=str)


class PlainLines(logging.Formatter):
    """For a terminal: time, level, where from, what, and the ids."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = inert(_said(record))
        known = " ".join(f"{name}={value}" for name, value in ids().items())
        return super().formatMessage(record) + (f" [{known}]" if known else "")

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return masked(super().formatException(ei))


def formatter() -> logging.Formatter:
    """The one that the environment asks for."""
    return JsonLines() if os.environ.get(FORMAT) == JSON else PlainLines()


def readable(line: str) -> str:
    """A line of JSON as a person reads it; any other line as it is."""
    if not line.startswith('{"at": '):
        return line
    try:
        said = json.loads(line)
        text = f"{said['at'][11:19]} {said['message']}"
    except (ValueError, KeyError, TypeError):
        return line
    return "\n".join(filter(None, [text, said.get("traceback", "")]))


class _Printed(TextIOBase):
    """Prints of libraries become lines of the log, so that each line of it carries the ids."""

    def __init__(self, level: int):
        self._logger = logging.getLogger("printed")
        self._level = level
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            # A progress bar draws over itself: its last state is what stays.
            if last := line.rstrip("\r").rpartition("\r")[2].strip():
                self._logger.log(self._level, "%s", last)
        if len(self._begun) > _LONGEST:
            self._begun = self._begun[-_LONGEST:]
        return len(text)

    def flush(self) -> None:
        pass


def of_trainer(stream: TextIO | None = None, **always: object) -> None:
    """Set up the logs of a trainer that should speak JSON: its own, warnings, and all prints.

    `always` are the ids that every line carries, in whatever thread it is written.
    """
    if os.environ.get(FORMAT) != JSON:
        return
    _ALWAYS.update(always)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default")
    sys.stdout = _Printed(logging.INFO)
    sys.stderr = _Printed(logging.WARNING)
