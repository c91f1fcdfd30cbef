"""What people said of a candidate against its base: `human_test.json`, schema `human_test/1`.

One file per re-test. Reports, adapter cards and pages read it; `human_tests` alone writes it. All
words are from the candidate's side: a win is a pair on which people preferred the candidate.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from formats.errors import FormatError
from formats.files import read_json, write_json

HUMAN_TEST: Final = "human_test/1"
FILE: Final = "human_test.json"
# How a pair ended on one dimension.
WIN, TIE, LOSS, INVALID, UNDECIDED, MISSING = (
    "win", "tie", "loss", "invalid", "undecided", "missing",
)  # fmt: skip
OUTCOMES: Final = (WIN, TIE, LOSS, INVALID, UNDECIDED, MISSING)


@dataclass(frozen=True, slots=True)
class Share:
    """A win rate from 0 to 1. `low`, `high`: 95 % by a bootstrap over prompts; `wilson_*`: Wilson's
    interval over the pairs, which takes them for independent. All None without any pair."""

    value: float | None
    low: float | None
    high: float | None
    wilson_low: float | None
    wilson_high: float | None
    pairs: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the annotators agree on win, tie and loss; None where it is not defined.

    `raw`: share of pairs of votes on one pair that are equal. Intervals are over prompts.
    """

    votes: int
    pairs: int  # with two votes or more
    raw: float | None
    alpha: float | None  # Krippendorff, nominal
    alpha_low: float | None
    alpha_high: float | None
    ac1: float | None


@dataclass(frozen=True, slots=True)
class DimensionResult:
    """One dimension. `key` is `overall` for the side that wins more dimensions of a pair.

    `wins`, `ties`, `losses` count pairs by what most of their votes say. The others have no such
    word: `invalid` (half of the votes say so), `undecided` (no majority, also after the further
    vote), `missing` (no vote counts). `votes` counts single votes by the same words.
    """

    key: str
    title: str
    wins: int
    ties: int
    losses: int
    invalid: int
    undecided: int
    missing: int
    settled_further: int  # pairs on which the wanted votes differed and a further one settled it
    ties_half: Share
    without_ties: Share
    p_value: float | None  # two-sided sign test on the prompts; None where none is decided
    votes: dict[str, int]
    agreement: Agreement

    @property
    def counted(self) -> int:
        return self.wins + self.ties + self.losses

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            **{
                **row,
                "ties_half": Share(**row["ties_half"]),
                "without_ties": Share(**row["without_ties"]),
                "agreement": Agreement(**row["agreement"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Voter:
    """One annotator under a pseudonym. `excluded` says in a sentence why their votes do not count.

    `agrees`: how often they say what the others' majority says, over all dimensions.
    """

    pseudonym: str
    votes: int
    agrees: float | None
    excluded: str = ""


@dataclass(frozen=True, slots=True)
class PairResult:
    """One prompt and seed with how it ended: {dimension: one of OUTCOMES}."""

    prompt: str
    seed: int | None
    base_sha256: str
    candidate_sha256: str
    votes: int
    outcome: dict[str, str]


@dataclass(frozen=True, slots=True)
class HumanTest:
    """The whole result. `dimensions`: `overall` first, then in the order of their set."""

    base: str  # what it is called on pages and in reports
    candidate: str
    campaign: int
    campaign_name: str
    dimension_set: str
    votes_wanted: int
    extra_votes: int
    pairs_asked: int
    pairs_complete: int
    pairs_identical: int  # the same bytes on both sides: nobody was asked, they count as ties
    pairs_withdrawn: int  # a clip was taken out, because it was broken or disturbing
    pairs_adjudicated: int
    prompts: int
    votes_counted: int
    votes_surplus: int
    votes_excluded: int
    votes_missing: int
    people: int  # whose votes count
    simulated: bool  # by the simulated annotators of the demo, all of them or some
    counted_early: str  # empty, or how it came to be counted before all votes were there
    dimensions: tuple[DimensionResult, ...]
    voters: tuple[Voter, ...] = ()
    pairs: tuple[PairResult, ...] = ()
    notes: tuple[str, ...] = ()  # what a reader must know, one sentence each
    seed: int = 0  # of the bootstrap
    resamples: int = 4000

    def of(self, key: str) -> DimensionResult | None:
        return next((each for each in self.dimensions if each.key == key), None)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        rows = dict(body)
        rows["dimensions"] = tuple(DimensionResult.from_json(row) for row in body["dimensions"])
        rows["voters"] = tuple(Voter(**row) for row in body["voters"])
        rows["pairs"] = tuple(PairResult(**row) for row in body["pairs"])
        rows["notes"] = tuple(body["notes"])
        return cls(**rows)

    def write(self, path: Path) -> str:
        """The sha256 of the file."""
        return write_json(path, HUMAN_TEST, self.to_json())

    @classmethod
    def read(cls, path: Path) -> Self:
        """FormatError where it is no such file."""
        body = read_json(path, HUMAN_TEST)
        try:
            return cls.from_json(body)
        except (KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"not a result of a re-test: {error}", path=path) from error
