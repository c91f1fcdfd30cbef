"""What an alignment run shows of itself while it trains, as it lies in the run directory.

outputs/watched/look-<step>.json and clips/ are written by models_align.watching; the looks are
there while the run goes on, and stay.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import OutputKind
from pipelines.generations import read_generations
from pipelines.models import Artifact, Run, RunInput
from pipelines.scoring import read_scores

FOLDER: Final = Path("outputs") / "watched"
LOOK: Final = "look/1"
ALARMS: Final = "alarms/1"
KIND: Final = "alignment"
_NAME: Final = re.compile(r"[0-9]{8}-[0-9a-f]{24}")  # of a clip, as the trainer gives it

Scores = dict[str, float]  # by dimension


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of a look. `scores`: by judge, of those that watched while it trained."""

    name: str
    prompt_id: str
    prompt: str
    seed: int
    sha256: str
    fps: float
    num_frames: int
    measures: dict[str, float] = field(default_factory=dict)
    scores: dict[str, Scores] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """The clips of one step. `spread`: how much clips of a prompt differ between seeds."""

    step: int
    clips: tuple[Clip, ...]
    spread: dict[str, float]


def folder_of(run: Run) -> Path:
    return Path(settings.RUNS_ROOT) / str(run.pk)


def looks_of(run: Run) -> list[Look]:
    """By step; a file that is damaged or being replaced is left out."""
    found = []
    for path in sorted((folder_of(run) / FOLDER).glob("look-*.json")):
        try:
            found.append(_look(read_json(path, LOOK)))
        except (FormatError, OSError, KeyError, TypeError, ValueError):
            continue
    return found


def look_at(run: Run, step: int) -> Look | None:
    """The look of one step."""
    path = folder_of(run) / FOLDER / f"look-{step:08d}.json"
    try:
        return _look(read_json(path, LOOK))
    except (FormatError, OSError, KeyError, TypeError, ValueError):
        return None


def file_of(run: Run, clip: Clip) -> Path | None:
    """Where the clip lies; None for a name that the trainer would not give, or no file."""
    if not _NAME.fullmatch(clip.name):
        return None
    path = folder_of(run) / FOLDER / "clips" / f"{clip.name}.mp4"
    return path if path.is_file() else None


def alarms_of(run: Run) -> list[dict[str, Any]]:
    """Name, step, last good step, sentence, advice, and whether it ended the run."""
    try:
        rows = read_json(folder_of(run) / "alarms.json", ALARMS)["alarms"]
        return [{name: row[name] for name in _OF_AN_ALARM} for row in rows]
    except (FormatError, OSError, KeyError, TypeError):
        return []


_OF_AN_ALARM: Final = ("name", "step", "good", "sentence", "advice", "stopped")


def _look(row: dict[str, Any]) -> Look:
    names = Clip.__dataclass_fields__
    clips = [Clip(**{k: v for k, v in each.items() if k in names}) for each in row["clips"]]
    return Look(int(row["step"]), tuple(clips), dict(row["spread"]))


# Judges that came later: scoring or truth runs on the watched clips.


@dataclass(frozen=True, slots=True)
class LaterJudge:
    """`scores`: by the name of a clip's file."""

    key: str
    title: str
    is_truth: bool
    scores: dict[str, Scores]


def later_judges(run: Run) -> list[LaterJudge]:
    """All finished score sets on the clips that this run has left, one per judge, the newest."""
    watched = run.artifacts.filter(kind=OutputKind.GENERATIONS).first()
    if watched is None:
        return []
    made = Artifact.objects.filter(
        kind=OutputKind.SCORES, run__inputs__artifact=watched, run__inputs__role="generations"
    ).select_related("run")
    names = _names(watched)
    found = {judge.key: judge for each in made.order_by("pk") if (judge := _judge(each, names))}
    return list(found.values())


def _names(watched: Artifact) -> dict[str, list[str]]:
    """The files of each clip id. Equal clips have one id, whatever step they are of."""
    found: dict[str, list[str]] = {}
    for record in read_generations(Path(settings.RUNS_ROOT) / watched.path):
        found.setdefault(record.video.id, []).append(Path(record.video.path).stem)
    return found


def _judge(artifact: Artifact, names: dict[str, list[str]]) -> LaterJudge | None:
    try:
        rows = read_scores(Path(settings.RUNS_ROOT) / artifact.path)
    except (FormatError, OSError):
        return None
    scores = {
        name: row.score for row in rows if not row.error for name in names.get(row.video_id, ())
    }
    is_truth = artifact.meta.get("judge") == "truth"
    if is_truth:
        return LaterJudge("truth", "True quality", is_truth, scores)
    model = _model_of(artifact.run)
    return LaterJudge(f"later-{model.pk}", f"{model.name or model.kind} (run {model.pk})",
                      is_truth, scores)  # fmt: skip


def _model_of(run: Run) -> Run:
    row = (
        RunInput.objects.select_related("artifact__run")
        .filter(run=run, role="reward_model", artifact__isnull=False)
        .first()
    )
    return row.artifact.run if row is not None and row.artifact is not None else run
