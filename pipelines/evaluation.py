"""Does the candidate beat the base, on the same prompts and seeds? (run kind `evaluation`)

Per judge and dimension a win rate (`win_rates`); beside it, because a win rate does not see them,
how much the clips move and how much those of one prompt differ.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from formats.errors import FormatError
from formats.files import write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, ScoreRecord
from formats.supervised import Supervised
from pipelines.changes import Change, changes_of
from pipelines.diversity import DIVERSITY, Diversity, Looks, diversity_of
from pipelines.footage import footage_of
from pipelines.generations import read_generations
from pipelines.models import Artifact, RunInput
from pipelines.registry import stands_on
from pipelines.scoring import read_scores, refuse_two_scales, weighted_mean
from pipelines.start_images import prompt_key
from pipelines.step_configs import StepConfig, StepConfigError, check_weights, require, whole
from pipelines.win_rates import WinRate, win_rate

EVALUATION: Final = "evaluation/1"
OVERALL: Final = "overall"
MOTION: Final = "motion"  # among the measures of clips
SAMPLES: Final = 6  # pairs of clips kept for the page

Key = tuple[str, int]  # (prompt, seed)


@dataclass(frozen=True, slots=True)
class Judged:
    """The clips of one generator with one judge's scores, by (prompt, seed)."""

    scores: dict[Key, dict[str, float]]
    unreadable: int


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


# The run.


@dataclass(frozen=True, slots=True)
class EvaluationConfig(StepConfig):
    """`candidate` is the name of what is compared with the base; weights as in pairing.

    Clips of other frame rates than the base's are refused unless `allow_other_rates` is set.
    """

    candidate: str = ""
    weights: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    allow_other_rates: bool = False

    def __post_init__(self) -> None:
        check_weights(self.weights)
        whole("seed", self.seed, low=0)
        given = self.allow_other_rates
        require(isinstance(given, bool), "allow_other_rates", "true or false", given)


def perform(run: Supervised) -> Outcome:
    """Compare the clips of `base` and `candidate` by each judge that scored both."""
    config = EvaluationConfig.from_json(run.dir.config())
    inputs = _inputs(int(run.dir.root.name))
    judges = _judges(inputs)
    clips = {side: read_generations(run.dir.input(side)) for side in ("base", "candidate")}
    films = footage_of(
        clips["base"], clips["candidate"], allow_other_rates=config.allow_other_rates
    )
    results = []
    scored: dict[str, dict[str, Judged]] = {}
    for step, judge in enumerate(judges, start=1):
        run.check()
        refuse_two_scales(judge, *(_scores_of(inputs, side, judge) for side in clips))
        sides = {
            side: judged(clips[side], read_scores(run.dir.input(f"{side}_scores:{judge}")))
            for side in ("base", "candidate")
        }
        scored[judge] = sides
        found = compare(sides["base"], sides["candidate"], weights=config.weights, seed=config.seed)
        results.append(_result(judge, found, _standing(inputs, judge)))
        run.dir.log_metrics(step, len(judges), stage=f"judge {judge}")
    measures = measured(clips["base"], clips["candidate"], seed=config.seed)
    several = _diversity(run, clips, seed=config.seed)
    if several.change is not None:
        measures[DIVERSITY] = several.change
    body = {
        "candidate": config.candidate,
        "judges": results,
        "measures": {name: each.to_json() for name, each in measures.items()},
        "not_measured": not_measured(measures, several),
        "samples": samples(clips, scored),
        "footage": films.to_json(),
    }
    sha256 = write_json(run.dir.outputs / "evaluation.json", EVALUATION, body)
    summary: dict[str, Any] = {"candidate": config.candidate}
    summary |= {f"by {each['judge']}": each["dimensions"] for each in results}
    summary |= {f"{name} amount": each.to_json() for name, each in measures.items()}
    if films.warnings:
        summary["footage"] = films.warnings
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


def _scores_of(inputs: Mapping[str, RunInput], side: str, judge: str) -> Artifact:
    found = inputs[f"{side}_scores:{judge}"].artifact
    assert found is not None  # the claim of the run has pinned it
    return found


@dataclass(frozen=True, slots=True)
class _Standing:
    """How far a judge is from the training of the candidate. `shares_votes`: it is not the reward,
    and learned from a snapshot on which the candidate stands too."""

    was_training_reward: bool = False
    shares_votes: bool = False


def _standing(inputs: Mapping[str, RunInput], judge: str) -> _Standing:
    candidate = inputs["candidate"].artifact
    model = RunInput.objects.filter(
        run=_scores_of(inputs, "candidate", judge).run_id, role="reward_model"
    ).first()
    if candidate is None or model is None or model.artifact is None:
        return _Standing()
    upstream = stands_on(candidate)
    if model.artifact_id in upstream:
        return _Standing(was_training_reward=True)
    both = upstream & stands_on(model.artifact)
    return _Standing(
        shares_votes=Artifact.objects.filter(pk__in=both, kind=OutputKind.SNAPSHOT).exists()
    )


def _result(judge: str, found: Comparison, standing: _Standing) -> dict[str, Any]:
    return {
        "judge": judge,
        **asdict(standing),
        "dimensions": {name: rate.to_json() for name, rate in found.by_dimension.items()},
        "changes": {name: each.to_json() for name, each in found.changes.items()},
        "unmatched": found.unmatched,
        "unreadable": found.unreadable,
    }


def _diversity(
    run: Supervised, clips: Mapping[str, list[GenerationRecord]], *, seed: int
) -> Diversity:
    looks = Looks((clip for side in clips.values() for clip in side), between=run.check)
    return diversity_of(clips["base"], clips["candidate"], looks, seed=seed)


def not_measured(measures: Mapping[str, Change], several: Diversity) -> dict[str, str]:
    """What always stands beside a win rate and cannot, each with the reason in a sentence."""
    missing = {DIVERSITY: several.why_not} if several.change is None else {}
    if MOTION not in measures:
        missing[MOTION] = (
            "Nothing measured how much these clips move when they were made; a report that reads "
            "a VBench run of both sides has the figure."
        )
    return missing


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
