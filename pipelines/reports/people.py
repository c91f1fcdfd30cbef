"""What a report's page shows of human re-tests: what people said, how many, how far they agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from pipelines.reports.rows import NONE, Bar, WinRow, bar_of, p_words
from pipelines.retests.result import DimensionResult, HumanTest, Share
from pipelines.run_pages import cell


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
            change=NONE,
            p_value=p_words(row.p_value),
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
    return f"{NONE if raw is None else format(raw, '.0%')} · alpha {cell(alpha)}"


def _ends(share: Share) -> str:
    low, high = share_ends(share)
    return NONE if low is None or high is None else f"{low:.3f} – {high:.3f}"


def share_ends(share: Share) -> tuple[float | None, float | None]:
    """By the bootstrap over prompts; by Wilson where one prompt is all there is."""
    low = share.wilson_low if share.low is None else share.low
    high = share.wilson_high if share.high is None else share.high
    return low, high


def _share_bar(share: Share) -> Bar | None:
    low, high = share_ends(share)
    if share.value is None or low is None or high is None:
        return None
    return bar_of(share.value, low, high)


def _decided(share: Share) -> bool:
    low, high = share_ends(share)
    return low is not None and high is not None and (low > 0.5 or high < 0.5)
