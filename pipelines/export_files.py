"""The files of an export, to take away: one by one, or all of them as a zip."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from formats.checkpoints import MANIFEST, verify_folder
from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import OutputKind
from pipelines.models import Artifact
from pipelines.registry import path_of


@dataclass(frozen=True, slots=True)
class ExportFile:
    name: str  # below the folder of the export
    size: int


def files_of(artifact: Artifact) -> list[ExportFile]:
    """The files that its manifest names. FormatError where it cannot be read."""
    named = read_json(path_of(artifact) / "manifest.json", MANIFEST)["files"]
    return [ExportFile(name, row["bytes"]) for name, row in named.items()]


def shown(artifact: Artifact) -> list[ExportFile]:
    """What its page offers; nothing for any other artifact, or where the folder is damaged."""
    if artifact.kind != OutputKind.EXPORT:
        return []
    try:
        return files_of(artifact)
    except FormatError:
        return []


def file_of(artifact: Artifact, name: str) -> Path | None:
    """A file of the export; None for a name that its manifest does not have."""
    known = any(each.name == name for each in files_of(artifact))
    return path_of(artifact) / name if known else None


def zip_of(artifact: Artifact, target: BinaryIO) -> None:
    """Write all files into an open one. FormatError for a damaged folder."""
    source = path_of(artifact)
    verify_folder(source)
    top = f"export-{artifact.run_id}"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in files_of(artifact):
            archive.write(source / each.name, f"{top}/{each.name}")
