"""What an import is asked for: the dimensions of its campaign, pairs or single clips."""

from collections.abc import Collection
from dataclasses import dataclass

from annotation.imports.faults import refused


@dataclass(frozen=True, slots=True)
class Asked:
    name: str  # of the file, as people know it
    keys: tuple[str, ...]
    single: bool = False

    def check_keys(self, found: Collection[str], *, some: bool = False) -> None:
        """The file judges what the campaign asks about; `some`: not all of it."""
        asks = f"the campaign asks about {', '.join(self.keys)}"
        for key in sorted(found):
            if key not in self.keys:
                raise refused(self.name, 1, f"the file judges {key!r}, but {asks}")
        missing = [key for key in self.keys if key not in found]
        if missing and not some:
            raise refused(self.name, 1, f"the file does not judge {missing[0]!r}, but {asks}")

    def place(self, side: str) -> str:
        """The tail of our columns for the clip `a` or `b`."""
        return "" if self.single else f"_{side.upper()}"
