"""Lineage from any file: which run made it, of what, by which code, down to the votes.

Asked by sha256 or by path. What is found is what the rows say; `gaps` names what they do not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from django.db.models import Exists, OuterRef, Q

from annotation.models import Consensus, Video, Vote
from formats.checkpoints import MANIFEST
from formats.errors import FormatError
from formats.files import read_json, sha256_of
from formats.outcome import OutputKind
from pipelines import registry
from pipelines.errors import ArtifactMissing
from pipelines.models import Artifact, BaseModel, Run, RunInput, StoredFile
from pipelines.registry import Step
from pipelines.starting import sha_of

_SHORTEST: Final = 12  # of a hash: enough digits that two files do not share them
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that has the hash that was asked for; `run` made it or was given it."""

    what: str
    name: str
    sha256: str
    run: int | None = None
    artifact: int | None = None
    base_model: int | None = None


@dataclass(frozen=True, slots=True)
class Votes:
    """The votes that one snapshot stands on."""

    snapshot: int  # artifact
    sha256: str
    campaign: int
    campaign_name: str
    watermark: str  # the newest consensus in it
    pairs: int
    judgements: int | None  # snapshots of long ago do not say
    votes: int  # counted, of triplets that were settled by then


@dataclass(frozen=True, slots=True)
class Lineage:
    found: tuple[Found, ...]
    steps: tuple[Step, ...]
    votes: tuple[Votes, ...]
    gaps: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "found": [asdict(each) for each in self.found],
            "steps": [_step_json(step) for step in self.steps],
            "votes": [asdict(each) for each in self.votes],
            "gaps": list(self.gaps),
        }


def trace(asked: str) -> Lineage:
    """Of a sha256 (twelve digits or more), or of a file or folder on this machine."""
    text = asked.strip().lower()
    is_hash = len(text) in range(_SHORTEST, 65) and set(text) <= _HEX
    return trace_hash(text) if is_hash else trace_path(Path(asked))


def trace_path(path: Path) -> Lineage:
    """A file, or a folder with a manifest; a checkpoint says itself which run wrote it."""
    if not path.exists():
        raise ArtifactMissing(
            f"there is no file {path}, and it is no sha256 of {_SHORTEST} to 64 hex digits"
        )
    if path.is_dir() and not (path / "manifest.json").is_file():
        raise ArtifactMissing(f"the folder {path} has no manifest.json, so nothing can name it")
    file = path / "manifest.json" if path.is_dir() else path
    found = [*_of_hash(sha256_of(file)), *_of_checkpoint(path if path.is_dir() else path.parent)]
    if not found:
        raise ArtifactMissing(f"no run of this site has made or read {path}")
    return _lineage(found)


def trace_hash(sha256: str) -> Lineage:
    found = list(_of_hash(sha256))
    if not found:
        raise ArtifactMissing(f"nothing that this site knows has the sha256 {sha256}")
    return _lineage(found)


def trace_artifact(artifact: Artifact) -> Lineage:
    return _lineage([_as_artifact(artifact)])


# What has a hash.


def _of_hash(sha256: str) -> Iterator[Found]:
    for find in _FINDERS:
        yield from find(sha256)


def _artifacts(sha256: str) -> Iterator[Found]:
    for each in Artifact.objects.filter(sha256__startswith=sha256).order_by("pk"):
        yield _as_artifact(each)


def _as_artifact(each: Artifact) -> Found:
    return Found("artifact", each.path, each.sha256, each.run_id, each.pk)


def _files(sha256: str) -> Iterator[Found]:
    rows = StoredFile.objects.filter(blob__sha256__startswith=sha256, artifact__isnull=False)
    # The manifest of an artifact, and a single file, stand for it and are found as it.
    rows = rows.exclude(blob_id__in=Artifact.objects.values("sha256"))
    for each in rows.select_related("artifact").order_by("pk"):
        assert each.artifact is not None
        made = each.artifact
        yield Found(
            "file of an artifact", f"{made.path}/{each.name}", each.blob_id, made.run_id, made.pk
        )


def _given(sha256: str) -> Iterator[Found]:
    for each in RunInput.objects.filter(~Q(sha256=""), sha256__startswith=sha256).order_by("pk"):
        yield Found("file given to a run", each.file, each.sha256, each.run_id)


def _configs(sha256: str) -> Iterator[Found]:
    for each in Run.objects.filter(config_sha__startswith=sha256).order_by("pk"):
        yield Found("config of a run", str(each), each.config_sha, each.pk)


def _base_models(sha256: str) -> Iterator[Found]:
    rows = BaseModel.objects.filter(~Q(sha256=""), sha256__startswith=sha256)
    for each in rows.select_related("artifact").order_by("pk"):
        run = None if each.artifact is None else each.artifact.run_id
        yield Found("base model", each.name, each.sha256, run, each.artifact_id, each.pk)


def _clips(sha256: str) -> Iterator[Found]:
    for each in Video.objects.filter(sha256__startswith=sha256).order_by("pk"):
        run = each.meta.get("run")
        made_here = isinstance(run, int) and Run.objects.filter(pk=run).exists()
        yield Found(
            "clip", each.original_path or each.file, each.sha256, run if made_here else None
        )


_FINDERS: Final[tuple[Callable[[str], Iterator[Found]], ...]] = (
    _artifacts, _files, _given, _configs, _base_models, _clips,
)  # fmt: skip


def _of_checkpoint(folder: Path) -> Iterator[Found]:
    """A state of training is no artifact: its manifest names the run."""
    try:
        meta = read_json(folder / "manifest.json", MANIFEST)["meta"]
    except (FormatError, KeyError):
        return
    run = meta.get("run")
    if isinstance(run, int) and Run.objects.filter(pk=run, config_sha=meta.get("config_sha256")):
        name = f"step {meta.get('step')}, fence {meta.get('fence')}"
        yield Found("checkpoint", name, sha256_of(folder / "manifest.json"), run)


# What it stands on.


def _lineage(found: list[Found]) -> Lineage:
    steps = registry.lineage({each.run for each in found if each.run is not None})
    votes = tuple(_votes(each) for step in steps for each in step.outputs if _holds_votes(each))
    return Lineage(tuple(found), tuple(steps), votes, tuple(gaps(steps)))


def _holds_votes(artifact: Artifact) -> bool:
    return artifact.kind == OutputKind.SNAPSHOT


def _votes(snapshot: Artifact) -> Votes:
    meta = snapshot.meta
    return Votes(
        snapshot.pk,
        snapshot.sha256,
        meta["campaign"],
        meta["campaign_name"],
        meta["watermark"],
        meta["counts"]["pairs"],
        meta["counts"].get("judgements"),
        meta["votes"] if "votes" in meta else _counted(meta),
    )


def _counted(meta: Mapping[str, Any]) -> int:
    """For snapshots that did not say it: those of triplets that were settled by then."""
    settled = Consensus.objects.filter(
        triplet=OuterRef("triplet"), settled_at__lte=meta["watermark"]
    )
    return Vote.objects.filter(
        Exists(settled), triplet__campaign_id=meta["campaign"], state=Vote.State.COUNTED
    ).count()


def gaps(steps: Iterable[Step]) -> Iterator[str]:
    """What a lineage does not say: each is one sentence. None means that it is complete."""
    listed = list(steps)
    for step in listed:
        if sha_of(step.run.config) != step.run.config_sha:
            yield f"the config of {step.run} is not the one whose hash was noted"
        for row in step.inputs:
            yield from _gaps_of_input(row)
    yield from _gaps_of_outputs([each for step in listed for each in step.outputs])


def _gaps_of_outputs(artifacts: Iterable[Artifact]) -> Iterator[str]:
    nameless = sorted(each.pk for each in artifacts if each.code in ("", "unknown"))
    if nameless:
        yield f"nothing says which code made artifact {', '.join(map(str, nameless))}"


def _gaps_of_input(row: RunInput) -> Iterator[str]:
    if row.artifact is None and row.producer is not None:
        yield f"the {row.role} of run {row.run_id} is not there yet"
    elif not registry.hash_of(row):
        yield f"the {row.role} of run {row.run_id} has neither a hash nor a commit"


def _step_json(step: Step) -> dict[str, Any]:
    run = step.run
    return {
        "run": run.pk,
        "kind": run.kind,
        "name": run.name,
        "state": run.state,
        "config": run.config,
        "config_sha256": run.config_sha,
        "fence": run.fence,
        "inputs": [_input_json(row) for row in step.inputs],
        "outputs": [
            {"artifact": a.pk, "kind": a.kind, "path": a.path, "sha256": a.sha256, "code": a.code}
            for a in step.outputs
        ],
    }


def _input_json(row: RunInput) -> dict[str, Any]:
    base = row.base_model
    return {
        "role": row.role,
        "sha256": registry.hash_of(row),
        "artifact": row.artifact_id,
        "run": registry.source_of(row),
        "file": row.file,
        "base_model": None
        if base is None
        else {"id": base.pk, "name": base.name, "source": base.source, "revision": base.revision},
    }
