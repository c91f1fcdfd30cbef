"""The files of an artifact for whoever takes them away: their names, hashes, and where they lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines.errors import ArtifactMissing, NotAllowed
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.store import keeping

# Weights: not for leads, who read about them.
WEIGHTS: Final = frozenset(
    {
        OutputKind.BASE_MODEL,
        OutputKind.REWARD_MODEL,
        OutputKind.LATENT_REWARD_MODEL,
        OutputKind.ADAPTER,
    }
)


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    name: str  # below the folder of the artifact; of a single file its own
    bytes: int
    sha256: str


def files_of(artifact: Artifact) -> list[ArtifactFile]:
    """All of them, by name; those of an artifact older than the store as its manifest says."""
    if artifact.stored:
        rows = artifact.files.select_related("blob").order_by("name")
        return [ArtifactFile(row.name, row.blob.bytes, row.blob_id) for row in rows]
    path = path_of(artifact)
    try:
        named = keeping.files_of(path, artifact.sha256)
    except FormatError as error:
        raise ArtifactMissing(str(error)) from error
    return [
        ArtifactFile(name, _place(path, name).stat().st_size, sha256)
        for name, sha256 in sorted(named.items())
        if _place(path, name).is_file()
    ]


def file_of(artifact: Artifact, name: str) -> tuple[ArtifactFile, Path] | None:
    """A file of the artifact and where it lies here, brought from the store if it must be.

    None for a name that it does not have: names are looked up, never followed.
    """
    found = next((each for each in files_of(artifact) if each.name == name), None)
    if found is None:
        return None
    path = path_of(artifact)
    keeping.fetch(artifact, path)
    place = _place(path, name)
    if not place.is_file():
        raise ArtifactMissing(f"{name} of artifact {artifact.pk} is not where it should be")
    return found, place


def refuse_weights(artifact: Artifact, *, engineer: bool) -> None:
    if artifact.kind in WEIGHTS and not engineer:
        raise NotAllowed("Weights are for ML engineers; leads read about them on their cards.")


def _place(path: Path, name: str) -> Path:
    return path / name if path.is_dir() else path
