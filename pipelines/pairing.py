"""Preference pairs for alignment: best against worst of N, or what people said. Pure functions.

A pair is decisive by construction: an equal group, a tie and a gap below the minimum make none
(ML.md 4.6). Only prompts of the asked split are used, so nothing is ever tuned on test prompts.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from formats.errors import FormatError
from formats.labels import SIGN, Label
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, PairRecord, PreferenceRecord, ScoreRecord, VideoRef
from formats.run_dir import RunDir
from formats.snapshot import read_snapshot
from formats.supervised import Supervised
from pipelines.generations import in_store, read_generations, stored_files
from pipelines.scoring import read_scores
from pipelines.splitting import SPLITS
from pipelines.step_configs import (
    StepConfig,
    StepConfigError,
    check_weights,
    number,
    one_of,
    whole,
)

MAPPINGS: Final = ("quantile", "minmax")

# Where a clip of a generation set lies below the media root.
Locate = Callable[[VideoRef], VideoRef]


@dataclass(frozen=True, slots=True)
class PairingConfig(StepConfig):
    """What makes a pair. No weights: every dimension counts the same (ML.md 2.4).

    `minimum_gap` is in units of the calibrated total (its standard deviation is about 1), or of the
    expected share of votes where people are the source.
    """

    weights: dict[str, float] = field(default_factory=dict)
    minimum_gap: float = 0.0
    split: str = "train"
    mapping: str = "quantile"
    pairs_per_prompt: int = 1

    def __post_init__(self) -> None:
        check_weights(self.weights)
        number("minimum_gap", self.minimum_gap, low=0)
        one_of("split", self.split, SPLITS)
        one_of("mapping", self.mapping, MAPPINGS)
        whole("pairs_per_prompt", self.pairs_per_prompt, low=1)


@dataclass(frozen=True, slots=True)
class Pairing:
    """The pairs, and why the other prompts gave none."""

    pairs: list[PairRecord]
    refused: dict[str, int]


def weighted_mean(values: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """The total of one clip; a dimension that the weights name must be there."""
    used = weights or dict.fromkeys(values, 1.0)
    missing = sorted(set(used) - set(values))
    if missing:
        known = ", ".join(sorted(values)) or "none"
        raise StepConfigError(f"no score for dimension {missing[0]!r}; there are {known}")
    return sum(values[key] * weight for key, weight in used.items()) / sum(used.values())


def unit_map(totals: Sequence[float], mapping: str) -> Callable[[float], float]:
    """A strictly rising map of the totals of this score set to [0, 1] (GAPO needs that range).

    `quantile` gives the share of totals below (a midrank, so equal totals map alike); `minmax`
    stretches. Both are fitted on the totals that are given, and are exact on them.
    """
    ordered = np.sort(np.asarray(totals, dtype=float))
    if mapping == "quantile":
        levels, counts = np.unique(ordered, return_counts=True)
        midranks = (np.cumsum(counts) - counts / 2) / len(ordered)
        return lambda total: float(np.interp(total, levels, midranks))
    low, span = float(ordered[0]), float(ordered[-1] - ordered[0])
    return lambda total: min(1.0, max(0.0, (total - low) / span)) if span > 0 else 0.5


def pairs_from_scores(
    generations: Iterable[GenerationRecord],
    scores: Iterable[ScoreRecord],
    config: PairingConfig,
    locate: Locate = lambda video: video,
) -> Pairing:
    """Best against worst of the clips of each prompt; then second best against second worst, …"""
    totals = {
        row.video_id: weighted_mean(row.score, config.weights) for row in scores if not row.error
    }
    groups: dict[str, list[GenerationRecord]] = defaultdict(list)
    refused: Counter[str] = Counter()
    for clip in generations:
        if clip.split != config.split:
            refused["clip of another split"] += 1
        elif clip.video.id not in totals:
            refused["clip without a score"] += 1
        else:
            groups[clip.prompt_id].append(clip)
    kept = [totals[clip.video.id] for group in groups.values() for clip in group]
    to_unit = unit_map(kept, config.mapping) if kept else float
    pairs = []
    for prompt_id in sorted(groups):
        ranked = sorted(groups[prompt_id], key=lambda c: (-totals[c.video.id], c.video.id))
        for rank in range(config.pairs_per_prompt):
            reason = _refusal(ranked, rank, totals, config.minimum_gap)
            if reason:
                refused[reason] += 1
                break
            chosen, rejected = ranked[rank], ranked[-1 - rank]
            pairs.append(_pair(chosen, rejected, totals, to_unit, locate))
    return Pairing(pairs, dict(refused))


def _refusal(
    ranked: Sequence[GenerationRecord], rank: int, totals: Mapping[str, float], minimum_gap: float
) -> str:
    if len(ranked) < 2 * (rank + 1):
        return "prompt with too few clips"
    gap = totals[ranked[rank].video.id] - totals[ranked[-1 - rank].video.id]
    if gap <= 0:
        return "group of equal scores"
    return "gap below the minimum" if gap < minimum_gap else ""


def _pair(
    chosen: GenerationRecord,
    rejected: GenerationRecord,
    totals: Mapping[str, float],
    to_unit: Callable[[float], float],
    locate: Locate,
) -> PairRecord:
    better, worse = totals[chosen.video.id], totals[rejected.video.id]
    return PairRecord(
        pair_id=f"{chosen.video.id}>{rejected.video.id}",
        prompt_id=chosen.prompt_id,
        prompt=chosen.prompt,
        split=chosen.split,
        chosen=locate(chosen.video),
        rejected=locate(rejected.video),
        gap=better - worse,
        reward_w=to_unit(better),
        reward_l=to_unit(worse),
        source="rewards",
        image=chosen.image,
    )


def pairs_from_votes(records: Iterable[PreferenceRecord], config: PairingConfig) -> Pairing:
    """What people said: a clip's reward is the weighted expected share of votes it wins.

    A tie counts half for both, an invalid dimension for nothing. A pair on which the dimensions
    cancel out is a tie as a whole, and makes no preference pair.
    """
    pairs = []
    refused: Counter[str] = Counter()
    for record in records:
        if record.split != config.split:
            refused["pair of another split"] += 1
            continue
        share = _share_of_a(record, config.weights)
        if share is None:
            refused["no usable label"] += 1
        elif share == 0.5:
            refused["tie"] += 1
        elif abs(2 * share - 1) < config.minimum_gap:
            refused["gap below the minimum"] += 1
        else:
            pairs.append(_voted_pair(record, share))
    return Pairing(pairs, dict(refused))


def _share_of_a(record: PreferenceRecord, weights: Mapping[str, float]) -> float | None:
    shares = {}
    for key in {*record.labels, *record.posterior}:
        if weights and key not in weights:
            continue
        label = record.labels.get(key)
        if label is Label.INVALID:
            continue
        if key in record.posterior:
            p_a, p_tie, _ = record.posterior[key]
            shares[key] = p_a + p_tie / 2
        elif label is not None:
            shares[key] = (SIGN[label] + 1) / 2
    used = {key: weights.get(key, 0.0) if weights else 1.0 for key in shares}
    if not sum(used.values()):
        return None
    return sum(shares[key] * used[key] for key in sorted(used)) / sum(used.values())


def _voted_pair(record: PreferenceRecord, share: float) -> PairRecord:
    assert record.video_b is not None  # a clip that was scored alone has no share
    chosen, rejected = record.video_a, record.video_b
    if share < 0.5:
        chosen, rejected = rejected, chosen
    reward = max(share, 1 - share)
    return PairRecord(
        pair_id=record.pair_id,
        prompt_id=record.pair_id,
        prompt=record.prompt,
        split=record.split,
        chosen=chosen,
        rejected=rejected,
        gap=2 * reward - 1,
        reward_w=reward,
        reward_l=1 - reward,
        source="votes",
        image=record.image,
    )


# The run.


def perform(run: Supervised) -> Outcome:
    """Build pairs.jsonl of a generation set and its scores, or of a snapshot of human labels."""
    config = PairingConfig.from_json(run.dir.config())
    run.dir.log_metrics(0, 2, stage="pairing")
    if run.dir.has_input("snapshot"):
        found = pairs_from_votes(read_snapshot(run.dir.input("snapshot")).records, config)
    else:
        found = _from_scores(run.dir, config)
    if not found.pairs:
        why = ", ".join(f"{reason}: {n}" for reason, n in sorted(found.refused.items())) or "empty"
        raise FormatError(f"no preference pair came out ({why})")
    run.dir.log_metrics(1, 2, stage="writing")
    sha256 = PairRecord.write(run.dir.outputs / "pairs.jsonl", found.pairs)
    summary = summarise(found)
    run.dir.log_metrics(2, 2, stage="done")
    output = Output(OutputKind.PAIRS, "outputs/pairs.jsonl", sha256, summary)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=summary)


def _from_scores(run_dir: RunDir, config: PairingConfig) -> Pairing:
    for role in ("generations", "scores"):
        if not run_dir.has_input(role):
            raise StepConfigError(
                f"the input {role!r} is missing: pairs need generations and scores, or a snapshot"
            )
    clips = read_generations(run_dir.input("generations"))
    files = stored_files(clip.video.sha256 for clip in clips)
    return pairs_from_scores(
        clips, read_scores(run_dir.input("scores")), config, lambda video: in_store(video, files)
    )


def summarise(found: Pairing) -> dict[str, Any]:
    """How many pairs, how far apart, and what gave none."""
    gaps = np.array([pair.gap for pair in found.pairs])
    return {
        "pairs": len(found.pairs),
        "prompts": len({pair.prompt for pair in found.pairs}),
        "gap_median": float(np.median(gaps)),
        "gap_smallest": float(gaps.min()),
        "source": found.pairs[0].source,
        "refused": found.refused,
    }
