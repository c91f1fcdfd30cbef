"""Errors that speak to a person: which file, which line, what was expected."""

from pathlib import Path


class FormatError(Exception):
    """A file does not hold what its reader expects.

    The text is one sentence for a person; `path` and `line` are kept apart for machines.
    """

    def __init__(self, message: str, *, path: Path | str | None = None, line: int | None = None):
        self.message = message
        self.path = None if path is None else str(path)
        self.line = line
        place = ":".join(str(part) for part in (self.path, self.line) if part is not None)
        super().__init__(f"{place}: {message}" if place else message)
