"""What is wrong with a file to import, gathered row by row: a person mends ten faults at once."""

from dataclasses import dataclass, field
from typing import Final

from annotation.errors import ImportRefused

_MOST: Final = 100  # beyond that, a file has one fault and not many


@dataclass(slots=True)
class Faults:
    """Of one file, which people know by `name`."""

    name: str
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
        line, what = self.found[0]
        others = len(self.found) - 1 + self.more
        rest = f" (and {others} more faults)" if others > 1 else " (and one more fault)"
        raise ImportRefused(
            f"{self.name}:{line}: {what}{rest if others else ''}",
            path=self.name,
            line=line,
            faults=[{"line": line, "error": what} for line, what in self.found],
        )


def refused(name: str, line: int, what: str) -> ImportRefused:
    """A fault after which nothing else of the file can be read."""
    return ImportRefused(
        f"{name}:{line}: {what}", path=name, line=line, faults=[{"line": line, "error": what}]
    )
