"""What a report's page shows of each candidate: verdict, judges, people, pixels, clips."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User
from django.urls import reverse

from pipelines.models import Artifact
from pipelines.reports.clips import SamplePair, Videos, pairs_of, videos_of
from pipelines.reports.people import HumanPart, human_of, human_part
from pipelines.reports.recommending import BASE
from pipelines.reports.rows import NONE, WinRow, bar_of, p_words
from pipelines.reports.text import change_words, in_order

_BADGES: Final = {
    "better": "badge-ok", "not better": "badge-bad", "hacked": "badge-bad",
    "too few votes": "badge-warn",
    "worse": "badge-bad", "undecided": "badge-warn",  # reports of before
}  # fmt: skip


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
class CandidatePart:
    """One candidate: the verdict first, then each judge's table, then clips."""

    name: str
    base: str  # what it was compared with
    verdict: str
    badge: str
    because: str
    rule: str
    more: str
    judge: str
    run_url: str
    asks: Artifact | None  # the evaluation that people may be asked about
    said: list[str]
    people: list[HumanPart]
    judges: list[JudgeTable]
    measures: list[MeasureRow]
    pairs: list[SamplePair]
    rates_note: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """What all candidates of a page need; rows are read once for all of them."""

    report: Mapping[str, Any]
    user: User
    videos: Videos
    artifacts: Mapping[int, Artifact]


def candidates(report: Mapping[str, Any], user: User) -> list[CandidatePart]:
    evaluations = {each["candidate"]: each for each in report["evaluations"]}
    there = Artifact.objects.in_bulk([each["artifact"] for each in evaluations.values()])
    shown = _Shown(report, user, videos_of(evaluations.values()), there)
    return [
        _candidate(line, evaluations.get(line["candidate"]), shown) for line in report["candidates"]
    ]


def _candidate(
    line: Mapping[str, Any], evaluation: Mapping[str, Any] | None, shown: _Shown
) -> CandidatePart:
    found = evaluation or _NO_EVALUATION
    return CandidatePart(
        name=line["candidate"],
        base=line.get("base", BASE),
        verdict=line["verdict"],
        badge=_BADGES[line["verdict"]],
        because=line.get("because", ""),
        rule=line.get("rule", ""),
        more=_more(line),
        judge=line["judge"],
        run_url=reverse("pipelines:run", args=[found["run"]]) if found["run"] else "",
        asks=shown.artifacts.get(found["artifact"]),
        said=line.get("said", []),
        people=[human_part(each) for each in human_of(line["candidate"], shown.report)],
        judges=[judge_table(each, shown.report) for each in found["judges"]],
        measures=measure_rows(found.get("measures", {})),
        pairs=pairs_of(found, shown.report, shown.videos, shown.user),
        rates_note=" ".join(found.get("footage", {}).get("warnings", [])),
    )


_NO_EVALUATION: Final[Mapping[str, Any]] = {
    "judges": [], "measures": {}, "samples": [], "run": None, "artifact": None,
}  # fmt: skip


def _more(line: Mapping[str, Any]) -> str:
    if not line.get("more"):
        return ""
    votes = f" ({line['votes']:,} votes)" if line.get("votes") else ""
    return f"About {line['more']:,} {line['unit']}{votes} would decide"


# Judges.


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
        note=_note(judge),
        rows=[
            _win_row(name, judge["dimensions"][name], judge.get("changes", {}).get(name))
            for name in in_order(judge["dimensions"], report)
        ],
        left_out=", ".join(left_out),
    )


def _note(judge: Mapping[str, Any]) -> str:
    if judge["was_training_reward"]:
        return "the candidate was trained on this reward"
    return "learned from the same votes" if judge.get("shares_votes") else ""


def _win_row(name: str, rate: Mapping[str, Any], change: Mapping[str, Any] | None) -> WinRow:
    return WinRow(
        dimension=name,
        rate=f"{rate['rate']:.3f}",
        interval=f"{rate['low']:.3f} – {rate['high']:.3f}",
        counts=f"{rate['wins']} / {rate['ties']} / {rate['losses']}",
        change=change_words(change) or NONE,
        p_value=p_words(rate["p_value"]),
        bar=bar_of(rate["rate"], rate["low"], rate["high"]),
        decided=rate["low"] > 0.5 or rate["high"] < 0.5,
    )


# Pixels.


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
