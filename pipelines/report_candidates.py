"""What a report's page shows of each candidate: verdict, judges, people, pixels, clips."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User
from django.urls import reverse

from pipelines.human_result import DimensionResult, HumanTest, Share
from pipelines.report_clips import SamplePair, Videos, pairs_of, videos_of
from pipelines.report_text import change_words, in_order
from pipelines.run_pages import cell

_BADGES: Final = {
    "better": "badge-ok", "not better": "badge-bad", "hacked": "badge-bad",
    "too few votes": "badge-warn",
    "worse": "badge-bad", "undecided": "badge-warn",  # reports of before
}  # fmt: skip
_NONE: Final = "–"


@dataclass(frozen=True, slots=True)
class Bar:
    """A win rate on a line from 0 to 100."""

    point: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class WinRow:
    """One dimension by one judge, or by people."""

    dimension: str
    rate: str
    interval: str
    counts: str
    change: str  # of the score itself
    p_value: str
    bar: Bar | None
    decided: bool  # the interval leaves one half out


@dataclass(frozen=True, slots=True)
class JudgeTable:
    judge: str
    note: str
    rows: list[WinRow]
    left_out: str


@dataclass(frozen=True, slots=True)
class HumanRow:
    """One dimension by people: ties half, ties left out, how far they agree."""

    win: WinRow
    without_ties: str
    agreement: str
    votes: str
    other: str  # pairs without a word: invalid, undecided, missing


@dataclass(frozen=True, slots=True)
class HumanPart:
    """One re-test."""

    run_url: str
    campaign: str
    campaign_url: str
    facts: list[str]
    notes: list[str]
    rows: list[HumanRow]


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
    verdict: str
    badge: str
    because: str
    rule: str
    more: str
    judge: str
    run_url: str
    said: list[str]
    people: list[HumanPart]
    judges: list[JudgeTable]
    measures: list[MeasureRow]
    pairs: list[SamplePair]
    rates_note: str


def candidates(report: Mapping[str, Any], user: User) -> list[CandidatePart]:
    evaluations = {each["candidate"]: each for each in report["evaluations"]}
    videos = videos_of(evaluations.values())
    return [
        _candidate(line, evaluations.get(line["candidate"]), report, videos, user)
        for line in report["candidates"]
    ]


def _candidate(
    line: Mapping[str, Any],
    evaluation: Mapping[str, Any] | None,
    report: Mapping[str, Any],
    videos: Videos,
    user: User,
) -> CandidatePart:
    found = evaluation or {"judges": [], "measures": {}, "samples": [], "run": None}
    return CandidatePart(
        name=line["candidate"],
        verdict=line["verdict"],
        badge=_BADGES[line["verdict"]],
        because=line.get("because", ""),
        rule=line.get("rule", ""),
        more=_more(line),
        judge=line["judge"],
        run_url=reverse("pipelines:run", args=[found["run"]]) if found["run"] else "",
        said=line.get("said", []),
        people=[human_part(each) for each in human_of(line["candidate"], report)],
        judges=[judge_table(each, report) for each in found["judges"]],
        measures=measure_rows(found.get("measures", {})),
        pairs=pairs_of(found, report, videos, user),
        rates_note=" ".join(found.get("footage", {}).get("warnings", [])),
    )


def _more(line: Mapping[str, Any]) -> str:
    if not line.get("more"):
        return ""
    votes = f" ({line['votes']:,} votes)" if line.get("votes") else ""
    return f"about {line['more']:,} {line['unit']}{votes} would decide"


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
        change=change_words(change) or _NONE,
        p_value=_p(rate["p_value"]),
        bar=_bar(rate["rate"], rate["low"], rate["high"]),
        decided=rate["low"] > 0.5 or rate["high"] < 0.5,
    )


def _bar(rate: float, low: float, high: float) -> Bar:
    return Bar(*(round(100 * each, 2) for each in (rate, low, high)))


def _p(value: float | None) -> str:
    if value is None:
        return _NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


# People.


def human_of(name: str, report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The re-tests of a candidate: named so by their role, or by themselves."""
    known = {each["candidate"] for each in report["candidates"]}
    return [
        each
        for each in report["human_tests"]
        if name == (each["name"] if each["name"] in known else each["candidate"])
    ]


def human_part(body: Mapping[str, Any]) -> HumanPart:
    own = {key: value for key, value in body.items() if key not in ("name", "run", "artifact")}
    found = HumanTest.from_json({**own, "pairs": []})
    return HumanPart(
        run_url=reverse("pipelines:run", args=[body["run"]]),
        campaign=found.campaign_name,
        campaign_url=reverse("annotation:dashboard", args=[found.campaign]),
        facts=_facts(found),
        notes=list(found.notes),
        rows=[_human_row(row) for row in found.dimensions],
    )


def _facts(found: HumanTest) -> list[str]:
    who = "simulated annotators" if found.simulated else "people"
    facts = [
        f"{found.pairs_complete:,} of {found.pairs_asked:,} pairs of {found.prompts:,} prompts",
        f"{found.votes_counted:,} votes of {found.people} {who}, {found.votes_wanted} per pair",
    ]
    counts = {
        "pairs are the same on both sides (ties)": found.pairs_identical,
        "pairs were withdrawn": found.pairs_withdrawn,
        "pairs were adjudicated": found.pairs_adjudicated,
        "votes of excluded annotators do not count": found.votes_excluded,
        "votes are missing": found.votes_missing,
    }
    facts += [f"{count:,} {words}" for words, count in counts.items() if count]
    return facts + ([f"counted early by {found.counted_early}"] if found.counted_early else [])


def _human_row(row: DimensionResult) -> HumanRow:
    half, agreed = row.ties_half, row.agreement
    return HumanRow(
        win=WinRow(
            dimension=row.key,
            rate=cell(half.value),
            interval=_ends(half),
            counts=f"{row.wins} / {row.ties} / {row.losses}",
            change=_NONE,
            p_value=_p(row.p_value),
            bar=_share_bar(half),
            decided=_decided(half),
        ),
        without_ties=f"{cell(row.without_ties.value)} ({_ends(row.without_ties)})",
        agreement=_agreement(agreed.raw, agreed.alpha),
        votes=cell(agreed.votes),
        other=", ".join(
            f"{count} {word}"
            for word, count in (
                ("invalid", row.invalid), ("undecided", row.undecided), ("missing", row.missing),
            )
            if count
        ),
    )  # fmt: skip


def _agreement(raw: float | None, alpha: float | None) -> str:
    return f"{_NONE if raw is None else format(raw, '.0%')} · alpha {cell(alpha)}"


def _ends(share: Share) -> str:
    low, high = share_ends(share)
    return _NONE if low is None or high is None else f"{low:.3f} – {high:.3f}"


def share_ends(share: Share) -> tuple[float | None, float | None]:
    """By the bootstrap over prompts; by Wilson where one prompt is all there is."""
    low = share.wilson_low if share.low is None else share.low
    high = share.wilson_high if share.high is None else share.high
    return low, high


def _share_bar(share: Share) -> Bar | None:
    low, high = share_ends(share)
    if share.value is None or low is None or high is None:
        return None
    return _bar(share.value, low, high)


def _decided(share: Share) -> bool:
    low, high = share_ends(share)
    return low is not None and high is not None and (low > 0.5 or high < 0.5)


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


# Benchmarks: the sides of one protocol beside one another.


@dataclass(frozen=True, slots=True)
class BenchmarkTable:
    title: str
    columns: list[tuple[str, str]]  # name, address of its artifact
    rows: list[tuple[str, list[str]]]
    totals: list[str]
    refusals: list[tuple[str, str]]
    proxies: list[tuple[str, list[str]]]


def benchmark_tables(found: Iterable[Mapping[str, Any]]) -> list[BenchmarkTable]:
    of: dict[str, list[Mapping[str, Any]]] = {}
    for each in found:
        of.setdefault(each["title"], []).append(each)
    return [_benchmark(title, sides) for title, sides in of.items()]


def _benchmark(title: str, sides: Sequence[Mapping[str, Any]]) -> BenchmarkTable:
    keys = list(dict.fromkeys(key for each in sides for key in each["dimensions"]))
    groups = list(dict.fromkeys(key for each in sides for key in each["groups"]))
    proxies = list(dict.fromkeys(key for each in sides for key in each["proxies"]))
    raw = [{key: row["raw"] for key, row in each["dimensions"].items()} for each in sides]
    return BenchmarkTable(
        title=title,
        columns=[
            (each["name"] or "result", reverse("pipelines:artifact", args=[each["artifact"]]))
            for each in sides
        ],
        rows=[
            *((_words(key), [_raw(row.get(key)) for row in raw]) for key in keys),
            *(
                (f"{key} score", [_score(each["groups"].get(key)) for each in sides])
                for key in groups
            ),
        ],
        totals=[_score(each["total"]) for each in sides],
        refusals=[(each["name"], each["refusal"]) for each in sides if each["refusal"]],
        proxies=[(key, [cell(each["proxies"].get(key)) for each in sides]) for key in proxies],
    )


def _words(key: str) -> str:
    return key.replace("_", " ").replace("i2v", "I2V")


def _raw(value: float | None) -> str:
    return _NONE if value is None else f"{value:.4f}"


def _score(value: float | None) -> str:
    return _NONE if value is None else f"{100 * value:.2f}"
