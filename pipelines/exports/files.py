"""The files of an export, to take away: one by one, or all of them as a zip.

A zip is made while a browser waits, so an export that holds many clips is taken file by file: the
Python client and `artifacts_file` of the REST API do, by ranges.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from formats.checkpoints import MANIFEST, verify_folder
from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import OutputKind
from pipelines.models import Artifact
from pipelines.registry import path_of

ZIP_BYTES: Final = 1 << 30
_LISTED: Final = 200  # files on a page
_MEDIA: Final = "media/"
_MANIFEST: Final = "manifest.json"
_TEXT: Final = (".csv", ".json", ".jsonl", ".md", ".xml")  # what deflating makes smaller


@dataclass(frozen=True, slots=True)
class ExportFile:
    name: str  # below the folder of the export
    size: int


def files_of(artifact: Artifact) -> list[ExportFile]:
    """The files that its manifest names. FormatError where it cannot be read."""
    named = read_json(path_of(artifact) / _MANIFEST, MANIFEST)["files"]
    return [ExportFile(name, row["bytes"]) for name, row in named.items()]


def shown(artifact: Artifact) -> list[ExportFile]:
    """What its page offers, tables first; nothing for any other artifact, or a damaged folder."""
    if artifact.kind != OutputKind.EXPORT:
        return []
    try:
        files = files_of(artifact)
    except FormatError:
        return []
    return sorted(files, key=lambda each: (each.name.startswith(_MEDIA), each.name))[:_LISTED]


def fits_a_zip(artifact: Artifact) -> bool:
    return artifact.bytes <= ZIP_BYTES


def file_of(artifact: Artifact, name: str) -> Path | None:
    """A file of the export; None for a name that its manifest does not have."""
    known = any(each.name == name for each in files_of(artifact))
    return path_of(artifact) / name if known else None


def zip_of(artifact: Artifact, target: BinaryIO) -> None:
    """Write all files into an open one. FormatError for a damaged folder, or one too large."""
    if not fits_a_zip(artifact):
        raise FormatError("the export is too large for a zip; take its files one by one")
    source = path_of(artifact)
    verify_folder(source)
    top = f"export-{artifact.run_id}"
    with zipfile.ZipFile(target, "w") as archive:
        for name in (*(each.name for each in files_of(artifact)), _MANIFEST):
            small = name.endswith(_TEXT)
            way = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
            archive.write(source / name, f"{top}/{name}", way)
