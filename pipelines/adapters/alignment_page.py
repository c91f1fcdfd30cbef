"""The page of an alignment run: quality of held-out prompts over the steps, clips, alarms.

Everything is prepared as JSON for static/js/alignment.js, while the run goes on and afterwards.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from django.urls import reverse

from pipelines.adapters.watched import (
    KIND,
    Clip,
    LaterJudge,
    Look,
    Scores,
    alarms_of,
    folder_of,
    later_judges,
    looks_of,
)
from pipelines.changes import change_of
from pipelines.models import Run

Values = list[tuple[str, float]]  # (prompt id, value), in the order of the look
OVERALL: Final = "overall"
_RESAMPLES: Final = 1000
_TITLES: Final = {
    "displacement": "Likelihood displacement",
    "saturation": "Saturation",
    "motion": "Loss of motion",
    "diversity": "Loss of diversity",
    "hacking": "Reward hacking",
}
# Judges that watch a run while it trains; others score its clips afterwards.
_WATCHING: Final = {"reward": "Training judge", "judge": "Independent judge"}
# Curves of the trainer that the panel draws, so that they are not drawn twice.
TRAINER_CURVES: Final = (
    "loss", "z_mean", "z_max", "implicit_accuracy", "winner_drift", "loser_drift", "grad_norm",
    "watched/reward", "watched/judge", "watched/motion", "watched/diversity",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """The change against the base at a step, with its 95 % interval over prompts."""

    step: int
    mean: float
    change: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Judge:
    """Scores by the name of a clip's file."""

    key: str
    title: str
    kind: str  # training, independent or truth
    scores: Mapping[str, Scores]


def of_run(run: Run) -> dict[str, Any]:
    """Entries of the page's context; empty for a run of another kind."""
    if run.kind != KIND:
        return {}
    return {
        "alignment": {
            "url": reverse("pipelines:alignment-live", args=[run.pk]),
            "drawn": " ".join(TRAINER_CURVES),
            "watches": run.inputs.filter(role="watch_prompts").exists(),
            "method": str(run.config.get("method", "")),
        }
    }


def figures_of(run: Run) -> dict[str, Any]:
    """What the run came to, without the alarms of an alignment: they stand above, with advice."""
    hidden = {"alarms"} if run.kind == KIND else set()
    return {name: value for name, value in run.summary.items() if name not in hidden}


def mark_of(run: Run) -> str:
    """Changes when there is something new to show; reads no file's content."""
    folder = folder_of(run)
    files = [*sorted((folder / "outputs" / "watched").glob("look-*.json")), folder / "alarms.json"]
    stamps = [f"{each.name} {each.stat().st_mtime_ns}" for each in files if each.is_file()]
    stamps += [f"{judge.key} {len(judge.scores)}" for judge in later_judges(run)]
    return hashlib.sha256("\n".join([run.state, *stamps]).encode()).hexdigest()[:16]


def panel_of(run: Run) -> dict[str, Any]:
    """All that the panel shows beyond the curves of training."""
    looks = looks_of(run)
    judges = judges_of(looks, later_judges(run))
    return {
        "steps": run.total or run.config.get("steps", 0),
        "kept": run.summary.get("steps") if "stopped_by" in run.summary else None,
        "alarms": [{**each, "title": _TITLES.get(each["name"], each["name"])}
                   for each in alarms_of(run)],
        "quality": [_quality(judge, looks) for judge in judges],
        "measures": _measures(looks),
        "looks": [_shown(run, look, judges) for look in looks],
    }  # fmt: skip


def judges_of(looks: Sequence[Look], later: Sequence[LaterJudge]) -> list[Judge]:
    """Those that watched, then those that scored the clips later."""
    clips = [clip for look in looks for clip in look.clips]
    found = []
    for key, title in _WATCHING.items():
        scores = {clip.name: clip.scores[key] for clip in clips if key in clip.scores}
        if scores:
            kind = "training" if key == "reward" else "independent"
            found.append(Judge(key, title, kind, scores))
    return found + [
        Judge(each.key, each.title, "truth" if each.is_truth else "independent", each.scores)
        for each in later
    ]


def _quality(judge: Judge, looks: Sequence[Look]) -> dict[str, Any]:
    """The curves of a judge: overall, which is the mean of its dimensions, and one by one."""
    known = [look for look in looks if all(clip.name in judge.scores for clip in look.clips)]
    dimensions = list(next(iter(judge.scores.values()), {}))
    points = {OVERALL: _curve(known, partial(_by_clip, partial(_overall, judge)))}
    for key in dimensions:
        points[key] = _curve(known, partial(_by_clip, partial(_of_dimension, judge, key)))
    return {"key": judge.key, "title": judge.title, "kind": judge.kind, "points": points}


def _overall(judge: Judge, clip: Clip) -> float:
    scores = judge.scores[clip.name].values()
    return math.fsum(scores) / len(scores)


def _of_dimension(judge: Judge, key: str, clip: Clip) -> float:
    return judge.scores[clip.name][key]


def _motion(clip: Clip) -> float:
    return clip.measures["motion"]


def _by_clip(value: Callable[[Clip], float], look: Look) -> Values:
    return [(clip.prompt_id, value(clip)) for clip in look.clips]


def _by_prompt(look: Look) -> Values:
    return list(look.spread.items())


def _measures(looks: Sequence[Look]) -> list[dict[str, Any]]:
    """What pixels say without a judge: how much clips move, and how much they differ by seed."""
    found = {
        "Motion amount": _curve(looks, partial(_by_clip, _motion)),
        "Diversity": _curve(looks, _by_prompt),
    }
    return [{"title": title, "points": points} for title, points in found.items()]


def _curve(looks: Sequence[Look], values: Callable[[Look], Values]) -> list[dict[str, Any]]:
    """The change against the base at each look; nothing where the base is not known."""
    if not looks or looks[0].step != 0:
        return []
    base = values(looks[0])
    prompts = [prompt for prompt, _ in base]
    points = []
    for look in looks:
        now = values(look)
        # An earlier attempt may have watched other prompts; without values nothing is drawn.
        if not now or [prompt for prompt, _ in now] != prompts:
            continue
        before, after = ([value for _, value in side] for side in (base, now))
        found = change_of(prompts, before, after, resamples=_RESAMPLES)
        points.append(Point(look.step, found.candidate, found.change, found.low, found.high))
    return [asdict(each) for each in points]


def _shown(run: Run, look: Look, judges: Sequence[Judge]) -> dict[str, Any]:
    clips = [
        {
            "prompt": clip.prompt,
            "seed": clip.seed,
            "fps": clip.fps,
            "frames": clip.num_frames,
            "url": _url(run, look, number, clip),
            "scores": {
                judge.key: round(_overall(judge, clip), 3)
                for judge in judges
                if clip.name in judge.scores
            },
        }
        for number, clip in enumerate(look.clips)
    ]
    return {"step": look.step, "clips": clips}


def _url(run: Run, look: Look, number: int, clip: Clip) -> str:
    """Where a viewer may fetch it; its hash makes another clip another address."""
    path = reverse("pipelines:watched-clip", args=[run.pk, look.step, number])
    return f"{path}?v={clip.sha256[:12]}"
