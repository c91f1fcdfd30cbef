"""What the report's page shows, prepared from report.json: numbers as text, intervals as places."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User
from django.urls import reverse

from annotation.media_urls import image_url
from annotation.models import Video
from formats.outcome import OutputKind
from pipelines.models import Artifact
from pipelines.registry import lineage
from pipelines.report_text import change_words, in_order
from pipelines.run_pages import Clip, cell, playable
from pipelines.splitting import SPLITS

_WORDS: Final = ("A", "tie", "B", "invalid", "none")
_PEOPLE: Final = "human_ceiling_without_ties"  # one annotator against the others
_VERDICTS: Final = {"better": "badge-ok", "worse": "badge-bad", "undecided": "badge-warn"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A win rate on a line from 0 to 100."""

    point: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class WinRow:
    """One dimension by one judge."""

    dimension: str
    rate: str
    interval: str
    counts: str
    change: str  # of the score itself
    p_value: str
    bar: Bar
    decided: bool  # the interval leaves one half out


@dataclass(frozen=True, slots=True)
class JudgeTable:
    judge: str
    note: str
    rows: list[WinRow]
    left_out: str


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """Something that is measured of pixels, without any judge: how much the clips move."""

    name: str
    base: str
    candidate: str
    change: str
    falls: bool  # beyond doubt


@dataclass(frozen=True, slots=True)
class SamplePair:
    """Base and candidate on the same prompt and seed."""

    prompt: str
    start: str  # address of the start image; empty for text-to-video
    seed: int
    base: Clip
    candidate: Clip
    base_scores: str
    candidate_scores: str


@dataclass(frozen=True, slots=True)
class CandidatePart:
    """One candidate: the verdict first, then each judge's table, then clips."""

    name: str
    verdict: str
    badge: str
    judge: str
    run_url: str
    judges: list[JudgeTable]
    measures: list[MeasureRow]
    pairs: list[SamplePair]


@dataclass(frozen=True, slots=True)
class AccuracyRow:
    """One dimension of a reward model on held-out prompts."""

    dimension: str
    without_ties: str
    interval: str
    ceiling: str
    share: str
    people: str
    with_ties: str
    always_tie: str
    pairs: str


@dataclass(frozen=True, slots=True)
class ModelPart:
    name: str
    run_url: str
    knows_ceiling: bool
    knows_people: bool
    alarms: list[str]
    rows: list[AccuracyRow]


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """What people said: how much, how it was split, how far they agreed."""

    url: str
    sha256: str
    campaign: str
    campaign_url: str
    pairs: str
    prompts: str
    splits: list[tuple[str, str, str]]
    labels: list[tuple[str, list[str]]]
    label_words: list[str]
    agreement: list[tuple[str, str, str, str]]


@dataclass(frozen=True, slots=True)
class AlignmentPart:
    """One alignment run: where its loss began, where it ended."""

    name: str
    method: str
    run_url: str
    first_loss: str
    last_loss: str
    figures: list[tuple[str, str]]


def candidates(report: Mapping[str, Any], user: User) -> list[CandidatePart]:
    verdicts = {each["candidate"]: each for each in report["candidates"]}
    clips = _clips(report["evaluations"])
    return [
        _candidate(each, verdicts[each["candidate"]], report, clips, user)
        for each in report["evaluations"]
    ]


def _candidate(
    evaluation: Mapping[str, Any],
    verdict: Mapping[str, Any],
    report: Mapping[str, Any],
    clips: Mapping[tuple[str, int | None], Video],
    user: User,
) -> CandidatePart:
    return CandidatePart(
        name=evaluation["candidate"],
        verdict=verdict["verdict"],
        badge=_VERDICTS[verdict["verdict"]],
        judge=verdict["judge"],
        run_url=reverse("pipelines:run", args=[evaluation["run"]]),
        judges=[judge_table(each, report) for each in evaluation["judges"]],
        measures=measure_rows(evaluation.get("measures", {})),
        pairs=[
            pair
            for sample in evaluation["samples"]
            if (pair := _sample_pair(sample, report, clips, user)) is not None
        ],
    )


def judge_table(judge: Mapping[str, Any], report: Mapping[str, Any]) -> JudgeTable:
    left_out = [
        f"{judge[key]} {words}"
        for key, words in (
            ("unmatched", "clips without a partner"),
            ("unreadable", "clips that could not be read"),
        )
        if judge[key]
    ]
    return JudgeTable(
        judge=judge["judge"],
        note="the candidate was trained on this reward" if judge["was_training_reward"] else "",
        rows=[
            _win_row(name, judge["dimensions"][name], judge.get("changes", {}).get(name))
            for name in in_order(judge["dimensions"], report)
        ],
        left_out=", ".join(left_out),
    )


def measure_rows(measures: Mapping[str, Mapping[str, Any]]) -> list[MeasureRow]:
    return [
        MeasureRow(
            name=f"{name} amount",
            base=f"{each['base']:.2f}",
            candidate=f"{each['candidate']:.2f}",
            change=change_words(each),
            falls=each["high"] is not None and each["high"] < 0,
        )
        for name, each in sorted(measures.items())
    ]


def _win_row(name: str, rate: Mapping[str, Any], change: Mapping[str, Any] | None) -> WinRow:
    return WinRow(
        dimension=name,
        rate=f"{rate['rate']:.3f}",
        interval=f"{rate['low']:.3f} – {rate['high']:.3f}",
        counts=f"{rate['wins']} / {rate['ties']} / {rate['losses']}",
        change=change_words(change) or "–",
        p_value="–" if rate["p_value"] is None else _p(rate["p_value"]),
        bar=Bar(*(round(100 * rate[key], 2) for key in ("rate", "low", "high"))),
        decided=rate["low"] > 0.5 or rate["high"] < 0.5,
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _clips(evaluations: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int | None], Video]:
    wanted = {
        sample[side]["sha256"]
        for evaluation in evaluations
        for sample in evaluation["samples"]
        for side in ("base", "candidate")
    }
    found = Video.objects.filter(sha256__in=wanted, withdrawn=False)
    found = found.select_related("prompt__image")
    return {(video.sha256, video.seed): video for video in found}


def _sample_pair(
    sample: Mapping[str, Any],
    report: Mapping[str, Any],
    clips: Mapping[tuple[str, int | None], Video],
    user: User,
) -> SamplePair | None:
    sides = {
        side: clips.get((sample[side]["sha256"], sample[side]["seed"]))
        for side in ("base", "candidate")
    }
    base, candidate = sides["base"], sides["candidate"]
    if base is None or candidate is None:
        return None  # Withdrawn since: nobody watches it again, also not here.
    image = base.prompt.image
    return SamplePair(
        prompt=sample["prompt"],
        start="" if image is None else image_url(image.pk, user),
        seed=sample["seed"],
        base=playable(base, user, f"base: {sample['prompt']}"),
        candidate=playable(candidate, user, f"candidate: {sample['prompt']}"),
        base_scores=_scores(sample["base"]["scores"], report),
        candidate_scores=_scores(sample["candidate"]["scores"], report),
    )


def _scores(by_judge: Mapping[str, Mapping[str, float]], report: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{judge}: " + ", ".join(f"{key} {scores[key]:.2f}" for key in in_order(scores, report))
        for judge, scores in by_judge.items()
    )


def models(report: Mapping[str, Any]) -> list[ModelPart]:
    return [
        ModelPart(
            name=each["name"],
            run_url=reverse("pipelines:run", args=[each["run"]]),
            knows_ceiling=any(row["ceiling"] for row in each["dimensions"].values()),
            knows_people=any(row.get(_PEOPLE) for row in each["dimensions"].values()),
            alarms=each.get("alarms", []),
            rows=[
                _accuracy_row(key, each["dimensions"][key])
                for key in in_order(each["dimensions"], report)
            ],
        )
        for each in report["reward_models"]
    ]


def _accuracy_row(key: str, row: Mapping[str, Any]) -> AccuracyRow:
    return AccuracyRow(
        dimension=key,
        without_ties=cell(row.get("accuracy_without_ties")),
        interval=cell(row.get("accuracy_without_ties_interval")),
        ceiling=cell(row["ceiling"]["accuracy"] if row["ceiling"] else None),
        share=cell(row["share_of_ceiling"]),
        people=cell(row.get(_PEOPLE)),
        with_ties=cell(row.get("accuracy_with_ties")),
        always_tie=cell(row.get("baseline_always_tie")),
        pairs=cell(row.get("decisive")),
    )


def snapshots(report: Mapping[str, Any]) -> list[SnapshotPart]:
    return [_snapshot(each, report) for each in report["snapshots"]]


def _snapshot(each: Mapping[str, Any], report: Mapping[str, Any]) -> SnapshotPart:
    counts, agreed = each["counts"], each["agreement"]
    keys = in_order(counts["labels"], report)
    return SnapshotPart(
        url=reverse("pipelines:artifact", args=[each["artifact"]]),
        sha256=each["sha256"],
        campaign=each["campaign_name"],
        campaign_url=reverse("annotation:dashboard", args=[each["campaign"]]),
        pairs=cell(counts["pairs"]),
        prompts=cell(counts["prompts"]),
        splits=[
            (
                split,
                cell(counts["splits"][split]["pairs"]),
                cell(counts["splits"][split]["prompts"]),
            )
            for split in SPLITS
        ],
        labels=[(key, [cell(counts["labels"][key][word]) for word in _WORDS]) for key in keys],
        label_words=list(_WORDS),
        agreement=[
            (key, cell(row["alpha"]), cell(row["ac1"]), cell(row["votes"]))
            for key in keys
            if (row := agreed[key])["votes"]
        ],
    )


def alignments(report: Mapping[str, Any]) -> list[AlignmentPart]:
    return [_alignment(each) for each in report["alignments"]]


def _alignment(each: Mapping[str, Any]) -> AlignmentPart:
    shown = {
        key: value
        for key, value in each["summary"].items()
        if isinstance(value, int | float) and key not in {"loss"}
    }
    first, last = each["first_loss"], each["last_loss"]
    return AlignmentPart(
        name=each["name"],
        method=each["method"],
        run_url=reverse("pipelines:run", args=[each["run"]]),
        # Seven digits: the loss at step 0 of Flow-DPO is ln 2 to 1e-6, or something is wrong.
        first_loss="–" if first is None else f"{first:.7f}",
        last_loss="–" if last is None else f"{last:.4f}",
        figures=[(key.replace("_", " "), cell(value)) for key, value in shown.items()],
    )


def context(artifact: Artifact, report: Mapping[str, Any], user: User) -> dict[str, Any]:
    return {
        "artifact": artifact,
        "report": report,
        "candidates": candidates(report, user),
        "models": models(report),
        "snapshots": snapshots(report),
        "alignments": alignments(report),
        "lineage": lineage([artifact.run_id]),
        "pairs": report["pairs"],
        "others": Artifact.objects.filter(kind=OutputKind.REPORT).exclude(pk=artifact.pk)[:8],
    }
