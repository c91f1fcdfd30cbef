"""What follows from the figures of a candidate: stated rules, no taste. Pure functions.

Each rule has a name and a sentence (`RULES`); a verdict names the one that it followed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

MARGIN: Final = 0.05  # a win rate within 0.5 ± MARGIN is no difference that matters
BASE: Final = "the base"
FALL: Final = 0.1  # of the base's motion or diversity: less is within what a codec does
_SEEN: Final = 0.6  # the win rate that a first re-test is sized to tell from one half
_VOTES: Final = 2  # on each of its pairs; a third settles where they differ (VideoAlign)
_OF_PEOPLE: Final = "pairs judged by people"
_Z: Final = 1.959963984540054  # of a 95 % interval


class Word(StrEnum):
    """What a report says of a candidate."""

    BETTER = "better"
    NOT_BETTER = "not better"
    HACKED = "hacked"
    TOO_FEW = "too few votes"


class Judge(StrEnum):
    """Who judged, from the one that decides to the one that convinces nobody."""

    PEOPLE = "people"
    TRUTH = "truth"
    INDEPENDENT = "independent"  # of another model, from other votes
    SAME_VOTES = "same votes"  # not the training reward, and learned from the same votes
    TRAINING = "training reward"


RULES: Final[Mapping[Word, str]] = {
    Word.HACKED: (
        "Hacked: the training reward says better beyond doubt (its 95 % interval lies above one "
        "half), and people, the truth or a judge that was not trained on say worse so; or motion "
        f"or diversity falls beyond doubt by more than {FALL:.0%} of the base's, and neither "
        "people nor the truth say better."
    ),
    Word.BETTER: (
        "Better: the 95 % interval of the overall win rate lies above one half, by the judge that "
        "decides: people where they were asked, else the truth where it is known, else a judge "
        "that the candidate was not trained on; never the training reward."
    ),
    Word.NOT_BETTER: (
        "Not better: by the judge that decides, the interval lies below one half, or so close "
        f"around it ({0.5 - MARGIN:.2f} to {0.5 + MARGIN:.2f}) that the difference does not "
        "matter; where the training reward is the only judge, it does not say better either."
    ),
    Word.TOO_FEW: (
        "Too few votes: the interval of the judge that decides holds one half, or nobody but the "
        "training reward judged. How many more: as many as make the interval narrow enough, if "
        f"the rate stays; a first re-test is sized to tell {_SEEN:.2f} from one half."
    ),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """An overall win rate with its interval. `n`: prompts, or pairs that people judged."""

    rate: float
    low: float
    high: float
    n: int

    @property
    def up(self) -> bool:
        return self.low > 0.5

    @property
    def down(self) -> bool:
        return self.high < 0.5

    @property
    def even(self) -> bool:
        """So close to one half that no more votes are needed."""
        return self.low >= 0.5 - MARGIN and self.high <= 0.5 + MARGIN


@dataclass(frozen=True, slots=True)
class Fall:
    """A figure of the pixels that aligned generators tend to lose."""

    name: str
    base: float
    candidate: float
    high: float | None  # upper end of the change; None where one prompt is all there is

    @property
    def beyond_doubt(self) -> bool:
        return self.high is not None and self.high < 0

    @property
    def matters(self) -> bool:
        return self.beyond_doubt and self.base - self.candidate > FALL * self.base

    def __str__(self) -> str:
        return f"{self.name} {self.candidate:.2f} instead of {self.base:.2f}"


@dataclass(frozen=True, slots=True)
class Opinion:
    """The overall win rate by one judge. `votes`: per pair, of people."""

    judge: str
    kind: Judge
    overall: Rate
    votes: int = 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one candidate."""

    candidate: str
    opinions: tuple[Opinion, ...]
    falls: tuple[Fall, ...] = ()
    lost: tuple[str, ...] = ()  # dimensions on which the judge that decides saw a loss
    base: str = BASE  # what it was compared with: its base, or another adapter

    def by(self, *kinds: Judge) -> list[Opinion]:
        order = list(Judge)
        found = [each for each in self.opinions if each.kind in kinds]
        return sorted(found, key=lambda each: (order.index(each.kind), each.judge))

    @property
    def decides(self) -> Opinion | None:
        """The judge that is furthest from the training; None where only the reward judged."""
        return next(iter(self.by(*_NOT_TRAINED)), None)


_NOT_TRAINED: Final = (Judge.PEOPLE, Judge.TRUTH, Judge.INDEPENDENT, Judge.SAME_VOTES)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`more`: pairs that people would have to judge, or prompts to be tested, in `unit`; `votes`:
    of people, on those pairs."""

    candidate: str
    word: Word
    because: str
    judge: str
    overall: Rate
    more: int | None = None
    unit: str = ""
    votes: int | None = None

    @property
    def rule(self) -> str:
        return RULES[self.word]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "word": str(self.word), "rule": self.rule}


def verdict_on(evidence: Evidence) -> Verdict:
    """The first rule that holds: hacked, better, not better, too few votes."""
    if not evidence.opinions:
        raise ValueError(f"nobody judged {evidence.candidate!r}, so nothing follows")
    if signs := _signs_of_hacking(evidence):
        return _hacked(evidence, signs)
    decides = evidence.decides
    if decides is None:
        return _by_its_reward_alone(evidence)
    rate = decides.overall
    if rate.up:
        return _said(evidence, Word.BETTER, decides, _why(decides))
    if rate.down or rate.even:
        return _said(evidence, Word.NOT_BETTER, decides, _why(decides))
    return _too_few(evidence, decides)


def _signs_of_hacking(evidence: Evidence) -> list[str]:
    if not any(each.overall.up for each in evidence.by(Judge.TRAINING)):
        return []
    signs = [
        f"{_who(each)} {_say(each)} worse ({_figures(each.overall)})"
        for each in evidence.by(*_NOT_TRAINED)
        if each.overall.down
    ]
    trusted = any(each.overall.up for each in evidence.by(Judge.PEOPLE, Judge.TRUTH))
    return signs + [
        f"{fall} beyond doubt" for fall in evidence.falls if fall.matters and not trusted
    ]


def _hacked(evidence: Evidence, signs: Sequence[str]) -> Verdict:
    reward = next(each for each in evidence.by(Judge.TRAINING) if each.overall.up)
    why = f"{_who(reward)} says better ({_figures(reward.overall)}), but {'; '.join(signs)}"
    return _said(evidence, Word.HACKED, evidence.decides or reward, why)


def _by_its_reward_alone(evidence: Evidence) -> Verdict:
    (reward, *_) = evidence.by(Judge.TRAINING)
    why = f"{_why(reward)}, and nobody else judged"
    if not reward.overall.up and (reward.overall.down or reward.overall.even):
        return _said(evidence, Word.NOT_BETTER, reward, why)
    pairs = pairs_to_see(_SEEN)
    return Verdict(
        evidence.candidate, Word.TOO_FEW, why, reward.judge, reward.overall,
        more=pairs, unit=_OF_PEOPLE, votes=pairs * _VOTES,
    )  # fmt: skip


def _too_few(evidence: Evidence, decides: Opinion) -> Verdict:
    more, by_people = more_needed(decides.overall), decides.kind is Judge.PEOPLE
    return Verdict(
        evidence.candidate, Word.TOO_FEW, _why(decides), decides.judge, decides.overall,
        more=more, unit=f"more {_OF_PEOPLE if by_people else 'test prompts'}",
        votes=more * decides.votes if by_people else None,
    )  # fmt: skip


def _said(evidence: Evidence, word: Word, by: Opinion, why: str) -> Verdict:
    return Verdict(evidence.candidate, word, why, by.judge, by.overall)


def _why(opinion: Opinion) -> str:
    return f"{_who(opinion)}: {_figures(opinion.overall)}"


def _who(opinion: Opinion) -> str:
    return {
        Judge.PEOPLE: "people",
        Judge.TRUTH: "the judge truth",
        Judge.TRAINING: f"the reward that it was trained on ({opinion.judge})",
    }.get(opinion.kind, f"the judge {opinion.judge}")


def _say(opinion: Opinion) -> str:
    return "say" if opinion.kind is Judge.PEOPLE else "says"


def _figures(rate: Rate) -> str:
    return f"win rate {rate.rate:.2f}, 95 % interval {rate.low:.2f} to {rate.high:.2f}"


# How many more.


def more_needed(rate: Rate) -> int:
    """How many more pairs or prompts decide, if the rate stays as it is.

    The half width of an interval falls with the root of their number. It has to come below the
    distance from one half, or, where that is small, below what is left of the margin around it.
    """
    if not rate.n:
        return pairs_to_see(_SEEN)  # nothing is known: as for a first re-test
    distance = abs(rate.rate - 0.5)
    wanted = max(distance, MARGIN - distance)
    half = (rate.high - rate.low) / 2
    # What the arithmetic of floats adds is no further pair.
    return max(1, math.ceil(rate.n * ((half / wanted) ** 2 - 1) - 1e-6))


def pairs_to_see(rate: float) -> int:
    """Pairs that tell this win rate from one half: where the interval's half width is as large."""
    return math.ceil((_Z * 0.5 / abs(rate - 0.5)) ** 2)


# One line for the person who has to decide.


def recommendation(verdicts: Sequence[Verdict], evidence: Sequence[Evidence]) -> str:
    """Take the best of those that are better; say of all others why not."""
    better = [each for each in verdicts if each.word is Word.BETTER]
    if not better:
        return _keep(verdicts, evidence)
    best = max(better, key=lambda each: (each.overall.low, each.candidate))
    known = next(each for each in evidence if each.candidate == best.candidate)
    decides = known.decides
    assert decides is not None
    line = (
        f"Take {best.candidate}: it beats {known.base} by {_who(decides)}"
        f" ({_figures(best.overall)})."
    )
    lost = f" It lost on {', '.join(known.lost)}." if known.lost else ""
    return line + lost + "".join(f" {_caveat(each)}" for each in known.falls if each.beyond_doubt)


def _caveat(fall: Fall) -> str:
    words = {"motion": "Its clips move less", "diversity": "Its clips of one prompt differ less"}
    said = words.get(fall.name, f"Its {fall.name} falls")
    return f"{said}: {fall.name} amount {fall.candidate:.2f} instead of {fall.base:.2f}."


def _keep(verdicts: Sequence[Verdict], evidence: Sequence[Evidence]) -> str:
    bases = {each.base for each in evidence}
    base = bases.pop() if len(bases) == 1 else BASE
    if all(each.word is Word.NOT_BETTER for each in verdicts):
        return f"Keep {base}: no candidate is better than it."
    told = [_sentence(each) for each in verdicts if each.word is not Word.NOT_BETTER]
    return " ".join([f"Keep {base} for now.", *told])


def _sentence(verdict: Verdict) -> str:
    if verdict.word is Word.HACKED:
        return f"{verdict.candidate} has hacked its reward: {verdict.because}."
    votes = f" ({verdict.votes} votes)" if verdict.votes else ""
    return (
        f"{verdict.candidate} is undecided ({verdict.because}): about {verdict.more} "
        f"{verdict.unit}{votes} would decide."
    )
