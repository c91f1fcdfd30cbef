"""What is wrong with a file to import, gathered row by row: a person mends ten faults at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from annotation.errors import AnnotationError, ImportRefused

_MOST: Final = 100  # beyond that, a file has one fault and not many


@dataclass(slots=True)
class Faults:
    """Of one file, which people know by `name`; of several, `at` says which one a line is of."""

    name: str
    at: Callable[[int], tuple[str, int]] | None = None
    found: list[tuple[int, str]] = field(default_factory=list)
    more: int = 0

    def add(self, line: int, what: str) -> None:
        if len(self.found) < _MOST:
            self.found.append((line, what))
        else:
            self.more += 1

    def refuse(self) -> None:
        """Raise ImportRefused if there is a fault. The first is the message, all are details."""
        if not self.found:
            return
        self.found.sort(key=lambda each: each[0])
        told = [self._told(line, what) for line, what in self.found]
        first = told[0]
        others = len(told) - 1 + self.more
        rest = f" (and {others} more faults)" if others > 1 else " (and one more fault)"
        path, line = first.get("file", self.name), first["line"]
        raise ImportRefused(
            f"{path}:{line}: {first['error']}{rest if others else ''}",
            path=path,
            line=line,
            faults=told,
        )

    def _told(self, line: int, what: str) -> dict[str, Any]:
        name, number = self.at(line) if self.at else (self.name, line)
        of_file = {} if name == self.name else {"file": name}
        return {"line": number, "error": what, **of_file}


def refused(name: str, line: int, what: str) -> ImportRefused:
    """A fault after which nothing else of the file can be read."""
    return ImportRefused(
        f"{name}:{line}: {what}", path=name, line=line, faults=[{"line": line, "error": what}]
    )


def further_faults(error: AnnotationError) -> list[str]:
    """All but the first, which is the message: for a person, a line each."""
    faults = error.details.get("faults", [])[1:]
    return [
        f"{each['file']}:{each['line']}: {each['error']}"
        if "file" in each
        else f"line {each['line']}: {each['error']}"
        for each in faults
    ]
