"""What the report's page shows, prepared from report.json: numbers as text, intervals as places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User
from django.urls import reverse

from formats.outcome import OutputKind
from pipelines.graph import of_report
from pipelines.models import Artifact
from pipelines.registry import lineage
from pipelines.reports.benchmarks import benchmark_tables
from pipelines.reports.candidates import candidates
from pipelines.reports.curves import curves
from pipelines.reports.recommending import BASE
from pipelines.reports.text import in_order
from pipelines.run_pages import cell
from pipelines.splitting import SPLITS

_WORDS: Final = ("A", "tie", "B", "invalid", "none")
_PEOPLE: Final = "human_ceiling_without_ties"  # one annotator against the others


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
    card_url: str
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
    alarms: list[str]


def models(report: Mapping[str, Any]) -> list[ModelPart]:
    return [
        ModelPart(
            name=each["name"],
            run_url=reverse("pipelines:run", args=[each["run"]]),
            card_url=reverse("pipelines:artifact", args=[each["artifact"]]),
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
        alarms=each.get("alarms", []),
    )


# What was asked, and what failed.


@dataclass(frozen=True, slots=True)
class Asked:
    """`clips`, `settings`: name, address of the run, what tells it from others."""

    sentence: str
    by: str
    clips: list[tuple[str, str, str]]
    settings: list[tuple[str, str, str]]


def asked(report: Mapping[str, Any]) -> Asked | None:
    """None for a report of before, which does not say."""
    found = report["asked"]
    if not found:
        return None
    names = [each["candidate"] for each in report["candidates"]]
    bases = {each.get("base", BASE) for each in report["candidates"]}
    base = bases.pop() if len(bases) == 1 else BASE
    judges = [*(["people"] if report["human_tests"] else []), *found["judges"]]
    return Asked(
        sentence=(
            f"Is {_either(names)} better than {base} on the same prompts and seeds? "
            f"Asked of: {', '.join(judges) or 'nobody'}."
        ),
        by=found["by"],
        clips=[_told(each, clips=each["clips"]) for each in found["clips"]],
        settings=[_told(each) for each in found["settings"]],
    )


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _told(each: Mapping[str, Any], **more: object) -> tuple[str, str, str]:
    values = {**{key: value for key, value in more.items() if value is not None}, **each["config"]}
    told = ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in values.items())
    return each["name"], reverse("pipelines:run", args=[each["run"]]), told


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_plain(each)}" for key, each in value.items()) + ")"
    return str(value)


def failures(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Word, sentence, address of the run."""
    return [
        (
            each["what"],
            each["text"],
            reverse("pipelines:run", args=[each["run"]]) if each["run"] else "",
        )
        for each in report["failures"]
    ]


def context(artifact: Artifact, report: Mapping[str, Any], user: User) -> dict[str, Any]:
    return {
        "artifact": artifact,
        "report": report,
        "asked": asked(report),
        "candidates": candidates(report, user),
        "benchmarks": benchmark_tables(report["benchmarks"]),
        "models": models(report),
        "snapshots": snapshots(report),
        "alignments": alignments(report),
        "curves": curves(report),
        "failures": failures(report),
        "lineage": lineage([artifact.run_id]),
        "graph": of_report(artifact.run),
        "pairs": report["pairs"],
        "others": Artifact.objects.filter(kind=OutputKind.REPORT).exclude(pk=artifact.pk)[:8],
    }
