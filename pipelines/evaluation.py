"""Does the candidate beat the base? Win rates on the same prompts and seeds, pure arithmetic.

Per judge and dimension: share of (prompt, seed) on which the candidate's clip has the higher score,
an exact equality counting half (ML.md 6.4), a 95 % interval by a bootstrap over prompts (clips of
one prompt are not independent), and a two-sided sign test on the decided ones.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from formats.errors import FormatError
from formats.files import write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, ScoreRecord
from formats.supervised import Supervised
from pipelines.changes import Change, changes_of
from pipelines.generations import read_generations
from pipelines.models import RunInput
from pipelines.registry import stands_on
from pipelines.scoring import read_scores, weighted_mean
from pipelines.start_images import prompt_key
from pipelines.step_configs import StepConfig, StepConfigError, check_weights, whole

EVALUATION: Final = "evaluation/1"
OVERALL: Final = "overall"
RESAMPLES: Final = 4000
SAMPLES: Final = 6  # pairs of clips kept for the page

Key = tuple[str, int]  # (prompt, seed)


@dataclass(frozen=True, slots=True)
class Judged:
    """The clips of one generator with one judge's scores, by (prompt, seed)."""

    scores: dict[Key, dict[str, float]]
    unreadable: int


@dataclass(frozen=True, slots=True)
class WinRate:
    """Candidate against base on one dimension. `p_value` is None where nothing was decided."""

    wins: int
    ties: int
    losses: int
    prompts: int
    rate: float
    low: float
    high: float
    p_value: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All dimensions of one judge, and what could not be compared. `changes`: of the scores."""

    by_dimension: dict[str, WinRate]
    changes: dict[str, Change]
    unmatched: int
    unreadable: int


def judged(generations: Iterable[GenerationRecord], scores: Iterable[ScoreRecord]) -> Judged:
    """Bring the seed of each clip to its score; a clip without a score counts as unreadable."""
    by_video = {row.video_id: row for row in scores}
    found: dict[Key, dict[str, float]] = {}
    unreadable = 0
    for clip in generations:
        key = key_of(clip)
        if key in found:
            raise FormatError(
                f"two clips of one generator have prompt {clip.prompt[:60]!r} and seed {key[1]}"
            )
        row = by_video.get(clip.video.id)
        if row is None or row.error:
            unreadable += 1
        else:
            found[key] = row.score
    return Judged(found, unreadable)


def key_of(clip: GenerationRecord) -> Key:
    """What base and candidate share: the prompt with its start image, and the seed."""
    return prompt_key(clip.prompt, clip.image), clip.video.seed or 0


def compare(
    base: Judged, candidate: Judged, *, weights: Mapping[str, float] | None = None, seed: int = 0
) -> Comparison:
    """Win rates on what both made; `overall` is the weighted mean of the scores."""
    shared = sorted(set(base.scores) & set(candidate.scores))
    if not shared:
        raise FormatError("base and candidate share no prompt and seed, so nothing can be compared")
    dimensions = sorted(set(base.scores[shared[0]]) & set(candidate.scores[shared[0]]))
    columns = {
        key: [candidate.scores[at][key] - base.scores[at][key] for at in shared]
        for key in dimensions
    }
    columns[OVERALL] = [
        weighted_mean(candidate.scores[at], weights or {})
        - weighted_mean(base.scores[at], weights or {})
        for at in shared
    ]
    prompts = [prompt for prompt, _ in shared]
    scores = ([side.scores[at] for at in shared] for side in (base, candidate))
    return Comparison(
        changes=changes_of(prompts, *scores, seed=seed),
        by_dimension={
            name: win_rate(prompts, column, seed=seed) for name, column in columns.items()
        },
        unmatched=len(set(base.scores) ^ set(candidate.scores)),
        unreadable=base.unreadable + candidate.unreadable,
    )


def win_rate(
    prompts: list[str], differences: list[float], *, seed: int = 0, resamples: int = RESAMPLES
) -> WinRate:
    """`differences`: candidate minus base, one per pair of clips; `prompts`: that pair's prompt."""
    signs = np.sign(np.asarray(differences, dtype=float))
    wins, losses = int((signs > 0).sum()), int((signs < 0).sum())
    points: dict[str, list[float]] = defaultdict(list)
    for prompt, sign in zip(prompts, signs, strict=True):
        points[prompt].append((sign + 1) / 2)
    low, high = _interval(list(points.values()), seed=seed, resamples=resamples)
    decided = wins + losses
    return WinRate(
        wins=wins,
        ties=len(signs) - decided,
        losses=losses,
        prompts=len(points),
        rate=float((signs + 1).mean() / 2),
        low=low,
        high=high,
        p_value=sign_test(wins, losses) if decided else None,
    )


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact binomial test of one half: how odd is so lopsided a score by chance?"""
    decided = wins + losses
    tail = sum(math.comb(decided, k) for k in range(min(wins, losses) + 1))
    # Whole numbers until the end: 2**decided leaves the range of floats beyond 1,023 pairs.
    return min(1.0, (2 * tail * 10**18 // (1 << decided)) / 10**18)


def _interval(points: list[list[float]], *, seed: int, resamples: int) -> tuple[float, float]:
    """Percentile interval of the mean when whole prompts are drawn with replacement.

    Where all prompts say the same, a bootstrap would claim to be certain after one of them: then
    Wilson's interval over the prompts stands in.
    """
    totals = np.array([sum(each) for each in points])  # [P]
    counts = np.array([len(each) for each in points])  # [P]
    if np.ptp(totals / counts) == 0:
        return wilson(float(totals[0] / counts[0]), len(points))
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(points), np.full(len(points), 1 / len(points)), size=resamples)
    means = (draws @ totals) / (draws @ counts)  # [R]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def wilson(share: float, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (E. B. Wilson, JASA 22, 1927)."""
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    half *= z / (1 + z * z / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


# The run.


@dataclass(frozen=True, slots=True)
class EvaluationConfig(StepConfig):
    """`candidate` is the name of what is compared with the base; weights as in pairing."""

    candidate: str = ""
    weights: dict[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        check_weights(self.weights)
        whole("seed", self.seed, low=0)


def perform(run: Supervised) -> Outcome:
    """Compare the clips of `base` and `candidate` by each judge that scored both."""
    config = EvaluationConfig.from_json(run.dir.config())
    inputs = _inputs(int(run.dir.root.name))
    judges = _judges(inputs)
    clips = {side: read_generations(run.dir.input(side)) for side in ("base", "candidate")}
    results = []
    scored: dict[str, dict[str, Judged]] = {}
    for step, judge in enumerate(judges, start=1):
        run.check()
        sides = {
            side: judged(clips[side], read_scores(run.dir.input(f"{side}_scores:{judge}")))
            for side in ("base", "candidate")
        }
        scored[judge] = sides
        found = compare(sides["base"], sides["candidate"], weights=config.weights, seed=config.seed)
        results.append(_result(judge, found, was_training_reward=_trained_it(inputs, judge)))
        run.dir.log_metrics(step, len(judges), stage=f"judge {judge}")
    measures = measured(clips["base"], clips["candidate"], seed=config.seed)
    body = {
        "candidate": config.candidate,
        "judges": results,
        "measures": {name: each.to_json() for name, each in measures.items()},
        "samples": samples(clips, scored),
    }
    sha256 = write_json(run.dir.outputs / "evaluation.json", EVALUATION, body)
    summary: dict[str, Any] = {"candidate": config.candidate}
    summary |= {f"by {each['judge']}": each["dimensions"] for each in results}
    summary |= {f"{name} amount": each.to_json() for name, each in measures.items()}
    output = Output(OutputKind.EVALUATION, "outputs/evaluation.json", sha256, summary)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=summary)


def _inputs(run_id: int) -> dict[str, RunInput]:
    rows = RunInput.objects.filter(run=run_id).select_related("artifact")
    return {row.role: row for row in rows}


def _judges(inputs: Mapping[str, RunInput]) -> list[str]:
    """The judges that scored both sides; one that scored only one side is an error."""
    by_side = [
        {role.partition(":")[2] for role in inputs if role.startswith(f"{side}_scores:")}
        for side in ("base", "candidate")
    ]
    lonely = sorted(by_side[0] ^ by_side[1])
    if lonely:
        raise StepConfigError(
            f"judge {lonely[0]!r} scored one side only; scores of both are needed"
        )
    if not by_side[0]:
        raise StepConfigError(
            "no judge: give base_scores:NAME and candidate_scores:NAME for at least one"
        )
    return sorted(by_side[0])


def _trained_it(inputs: Mapping[str, RunInput], judge: str) -> bool:
    """Whether the candidate was trained, by whatever way, on this judge's own reward model."""
    candidate, scores = inputs["candidate"].artifact, inputs[f"candidate_scores:{judge}"].artifact
    if candidate is None or scores is None:
        return False
    model = RunInput.objects.filter(run=scores.run_id, role="reward_model").first()
    return model is not None and model.artifact_id in stands_on(candidate)


def _result(judge: str, found: Comparison, *, was_training_reward: bool) -> dict[str, Any]:
    return {
        "judge": judge,
        "was_training_reward": was_training_reward,
        "dimensions": {name: rate.to_json() for name, rate in found.by_dimension.items()},
        "changes": {name: each.to_json() for name, each in found.changes.items()},
        "unmatched": found.unmatched,
        "unreadable": found.unreadable,
    }


def measured(
    base: Iterable[GenerationRecord], candidate: Iterable[GenerationRecord], *, seed: int = 0
) -> dict[str, Change]:
    """What was measured of the pixels of clips that both made, such as how much they move."""
    sides = [
        {key_of(clip): clip.measures for clip in clips if clip.measures}
        for clips in (base, candidate)
    ]
    shared = sorted(set(sides[0]) & set(sides[1]))
    rows = ([side[key] for key in shared] for side in sides)
    return changes_of([prompt for prompt, _ in shared], *rows, seed=seed)


def samples(
    clips: Mapping[str, list[GenerationRecord]], scored: Mapping[str, Mapping[str, Judged]]
) -> list[dict[str, Any]]:
    """A few pairs for the page, picked by the hash of their prompt: nobody chose the nice ones."""
    by_key = {side: {key_of(clip): clip for clip in rows} for side, rows in clips.items()}
    shared = set(by_key["base"]) & set(by_key["candidate"])
    return [
        {
            "prompt": by_key["base"][key].prompt,
            "seed": key[1],
            **{side: _sample(by_key[side][key], key, side, scored) for side in by_key},
        }
        for key in shown_keys(shared)
    ]


def shown_keys(shared: Iterable[Key]) -> list[Key]:
    """A few of them by their hash, always the same."""
    return sorted(shared, key=lambda key: hashlib.sha256(f"{key}".encode()).digest())[:SAMPLES]


def _sample(
    clip: GenerationRecord, key: Key, side: str, scored: Mapping[str, Mapping[str, Judged]]
) -> dict[str, Any]:
    return {
        "sha256": clip.video.sha256,
        "seed": clip.video.seed,
        "scores": {
            judge: sides[side].scores[key]
            for judge, sides in scored.items()
            if key in sides[side].scores
        },
    }
