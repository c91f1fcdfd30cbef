"""What is imported from: a table beside its clips, a folder with both, or a zip archive of both.

A row can name nothing else: every path stays inside the folder, or inside the archive, whose
members are found by their names there and never become paths (`archives`). A link in the folder
leads out of it only where an operator imports at the command line: data are often kept as links,
and whoever has a shell can read what they lead to anyway.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from django.conf import settings

from annotation.errors import ImportRefused, MediaError
from annotation.imports.dataset_folders import tables_of
from annotation.imports.places import LEFT_OUT
from annotation.media.archives import unpack
from annotation.media.keeping import below_incoming, incoming
from formats.files import sha256_of


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
        yield _folder(given, shown, clips, links=links)
    elif Path(shown).suffix.lower() == ".zip":
        with TemporaryDirectory(prefix="tiebreak-import-", dir=_scratch()) as folder:
            files = _members(unpack(given, Path(folder)))
            parts = _parts(shown, tables_of(shown, files, files.__getitem__), files.__getitem__)
            find = _by_content(files.values)
            yield Source(parts[0][1], parts[0][0], files.get, Path(folder), find, parts)
    else:
        source = table_with_clips(given, clips, name=shown, links=links)
        beside = given.with_name(given.name + LEFT_OUT)
        rest = ((shown + LEFT_OUT, beside),) if beside.is_file() else ()
        yield replace(source, parts=((source.name, source.table), *rest))


def _folder(given: Path, shown: str, clips: Path | None, *, links: bool) -> Source:
    """The folder of a table and its clips, of an export, or of a dataset."""
    inside = _names_below(given)
    parts = _parts(shown, tables_of(shown, inside, given.__truediv__), given.__truediv__)
    name, table = parts[0]
    source = table_with_clips(table, clips or given, name=name, links=links)
    find = _by_content(lambda: map(given.__truediv__, inside))
    return replace(source, with_content=find, parts=parts)


def _names_below(folder: Path) -> list[str]:
    """Plain files of the folder and of the folders in it, where datasets have their tables; all
    others are found as rows name them."""
    inside = [folder, *(each for each in folder.iterdir() if each.is_dir())]
    plain = [each for each in inside if not each.is_symlink() and not each.name.startswith(".")]
    found = [each for below in {folder, *plain} for each in below.iterdir() if each.is_file()]
    return sorted(each.relative_to(folder).as_posix() for each in found)


def _parts(
    shown: str, names: Sequence[str], file: Callable[[str], Path]
) -> tuple[tuple[str, Path], ...]:
    return tuple((f"{shown}/{name}", file(name)) for name in names)


def _by_content(files: Callable[[], Iterable[Path]]) -> Callable[[str], Path | None]:
    """A file by its sha256. All are read once, by the first who asks."""
    known: dict[str, Path] = {}

    def find(sha256: str) -> Path | None:
        if not known:
            known.update({sha256_of(each): each for each in files()})
        return known.get(sha256)

    return find


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


def import_place(name: str) -> Path:
    """The same, or an archive or table there, as programs send them (`media.uploads`)."""
    try:
        found = below_incoming(name)
    except MediaError:
        return import_folder(name)  # which says what is wrong
    return found if found.is_file() else import_folder(name)


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
    if len(tops) == 1 and nested and tops != {"data"}:  # the tables of a dataset lie in `data`
        return {str(PurePosixPath(*PurePosixPath(name).parts[1:])): files[name] for name in files}
    return dict(files)
