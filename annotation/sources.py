"""What is imported from: a table beside its clips, a folder with both, or a zip archive of both.

A row can name nothing else: every path stays inside the folder, or inside the archive, whose
members are found by their names there and never become paths (`archives`). A link in the folder
leads out of it only where an operator imports at the command line: data are often kept as links,
and whoever has a shell can read what they lead to anyway.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from django.conf import settings

from annotation.archives import unpack
from annotation.errors import ImportRefused, MediaError
from annotation.media import below_incoming, incoming
from annotation.table_files import SUFFIXES


@dataclass(frozen=True, slots=True)
class Source:
    """A table, the name that people know it by, and where the files lie that its rows name."""

    table: Path
    name: str
    file_of: Callable[[str], Path | None]
    root: Path  # where the files lie; no concern of who reads a message
    # A file by its sha256, where a folder or archive was given: tables of votes name clips so.
    with_content: Callable[[str], Path | None] = lambda _sha256: None
    # The files of a table that is several, by the names that people know; empty for one alone.
    parts: tuple[tuple[str, Path], ...] = ()

    def plain(self, message: str) -> str:
        """A message that speaks of files as the table does."""
        return message.replace(f"{self.root.resolve()}/", "").replace(f"{self.root}/", "")


def table_with_clips(
    table: Path, clips: Path | None = None, *, name: str = "", links: bool = False
) -> Source:
    """A table file; its paths start from `clips`, or from its own folder."""
    folder = clips or table.parent
    return Source(table, name or str(table), _below(folder, links=links), folder)


@contextmanager
def opened(
    given: Path, *, name: str = "", clips: Path | None = None, links: bool = False
) -> Iterator[Source]:
    """The source at this path: a table, a folder with a table, or an archive with one.

    `links`: links in the folder may lead out of it.
    """
    shown = name or str(given)
    if given.is_dir():
        inside = [each.name for each in sorted(given.iterdir()) if each.is_file()]
        table = _only_table(shown, inside)
        title = f"{shown}/{table}"
        yield table_with_clips(given / table, clips or given, name=title, links=links)
    elif Path(shown).suffix.lower() == ".zip":
        with TemporaryDirectory(prefix="tiebreak-import-", dir=_scratch()) as folder:
            files = _members(unpack(given, Path(folder)))
            table = _only_table(shown, list(files))
            yield Source(files[table], f"{shown}/{table}", files.get, Path(folder))
    else:
        yield table_with_clips(given, clips, name=shown, links=links)


def import_folder(name: str) -> Path:
    """A folder that imports from the web may read: below MEDIA_ROOT/incoming, nowhere else."""
    incoming().mkdir(parents=True, exist_ok=True)
    try:
        folder = below_incoming(name)
    except MediaError:
        raise ImportRefused("the folder must lie below MEDIA_ROOT/incoming on the server") from None
    if not folder.is_dir():
        raise ImportRefused(f"there is no folder incoming/{name} on the server")
    return folder


def _scratch() -> Path:
    """Clips are large: beside the media, not on what may be a small disk for temporary files."""
    folder = Path(settings.MEDIA_ROOT) / "unpacked"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _below(folder: Path, *, links: bool) -> Callable[[str], Path | None]:
    root = folder.resolve()

    def file_of(path: str) -> Path | None:
        file = Path(os.path.normpath(root / path)) if links else (root / path).resolve()
        return file if file.is_relative_to(root) and file.is_file() else None

    return file_of


def _members(files: Mapping[str, Path]) -> dict[str, Path]:
    """By the paths that rows use: from the folder that everything lies in, if there is one."""
    tops = {PurePosixPath(name).parts[0] for name in files}
    nested = all("/" in name for name in files)
    if len(tops) == 1 and nested:
        return {str(PurePosixPath(*PurePosixPath(name).parts[1:])): files[name] for name in files}
    return dict(files)


def _only_table(shown: str, names: Sequence[str]) -> str:
    tables = [name for name in names if "/" not in name and name.lower().endswith(SUFFIXES)]
    if len(tables) != 1:
        found = f"there are {', '.join(sorted(tables))}" if tables else "there is none"
        raise ImportRefused(
            f"{shown}: expected one table ({', '.join(SUFFIXES)}) beside the clips; {found}"
        )
    return tables[0]
