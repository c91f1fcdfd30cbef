"""What runs have left: where it lies, and where it comes from, down to the votes."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings

from formats.files import sha256_of
from formats.outcome import Outcome, OutputKind
from pipelines.errors import PipelineError
from pipelines.models import Artifact, BaseModel, Run, RunInput

_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a lineage with what it read and what it left."""

    run: Run
    inputs: list[RunInput]
    outputs: list[Artifact]


def path_of(artifact: Artifact) -> Path:
    return Path(settings.RUNS_ROOT) / artifact.path


def lineage(runs: Iterable[int]) -> list[Step]:
    """These runs and all that they stand on, oldest first. Queries grow with depth, not size."""
    inputs: dict[int, list[RunInput]] = defaultdict(list)
    seen: set[int] = set()
    frontier = set(runs)
    while frontier:
        seen |= frontier
        rows = RunInput.objects.filter(run__in=frontier).select_related(
            "artifact", "base_model__artifact", "producer"
        )
        for row in rows:
            inputs[row.run_id].append(row)
        frontier = {source for row in rows if (source := source_of(row))} - seen
    outputs: dict[int, list[Artifact]] = defaultdict(list)
    for artifact in Artifact.objects.filter(run__in=seen).order_by("pk"):
        outputs[artifact.run_id].append(artifact)
    found = Run.objects.filter(pk__in=seen).order_by("pk")
    return [Step(run, inputs[run.pk], outputs[run.pk]) for run in found]


def source_of(row: RunInput) -> int | None:
    """The run that made, or will make, an input; None for a given file or a model from outside."""
    if row.artifact is not None:
        return row.artifact.run_id
    if row.base_model is not None and row.base_model.artifact is not None:
        return row.base_model.artifact.run_id
    return row.producer_id


def hash_of(row: RunInput) -> str:
    """The sha256 of what plays a role; of a public model, which nobody hashed, its commit."""
    if row.artifact is not None:
        return row.artifact.sha256
    if row.base_model is not None:
        return row.base_model.sha256 or row.base_model.revision
    return row.sha256


def stands_on(artifact: Artifact) -> set[int]:
    """The ids of all artifacts that this one was made from, itself included."""
    ids = {artifact.pk}
    for step in lineage([artifact.run_id]):
        ids |= {row.artifact_id for row in step.inputs if row.artifact_id is not None}
    return ids


def add_base_model(name: str, role: str, source: str, revision: str = "") -> BaseModel:
    """Allow a base model: a folder of this machine, or a public id with its pinned revision."""
    if role not in BaseModel.Role.values:
        raise PipelineError(f"unknown role {role!r}; expected {' or '.join(BaseModel.Role.values)}")
    if BaseModel.objects.filter(name=name).exists():
        raise PipelineError(f"there is a base model {name!r} already")
    sha256 = ""
    if source.startswith("/"):
        if not Path(source).is_dir():
            raise PipelineError(f"there is no folder {source}")
        manifest = Path(source) / "manifest.json"
        sha256 = sha256_of(manifest) if manifest.is_file() else ""
        revision = "" if sha256 else f"tree:{tree_hash(Path(source))}"
    else:
        check_public(source, revision)
    return BaseModel.objects.create(
        name=name, role=role, source=source, revision=revision, sha256=sha256
    )


def tree_hash(folder: Path) -> str:
    """One hash of all files of a folder and their names; a link counts as what it leads to."""
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def check_public(source: str, revision: str) -> None:
    """A public id, pinned: what it names tomorrow is what somebody looked at today."""
    if not _HUB_ID.fullmatch(source) or ".." in source:
        raise PipelineError(f"expected owner/name or an absolute folder, got {source[:200]!r}")
    if not _COMMIT.fullmatch(revision):
        raise PipelineError(f"a public id needs the commit (40 hex digits), got {revision[:200]!r}")


def register_base_model(run: Run, _outcome: Outcome, artifacts: list[Artifact]) -> None:
    """A pretrained tiny model becomes a base model that people can pick. One per artifact."""
    for artifact in artifacts:
        if artifact.kind != OutputKind.BASE_MODEL or artifact.base_models.exists():
            continue
        BaseModel.objects.create(
            name=_free_name(run.name or f"{run.kind} of run {run.pk}", run.pk),
            role=BaseModel.Role(artifact.meta["role"]),
            source=str(path_of(artifact)),
            sha256=artifact.sha256,
            artifact=artifact,
        )


def _free_name(name: str, run_id: int) -> str:
    taken = BaseModel.objects.filter(name=name).exists()
    return f"{name} (run {run_id})" if taken else name
