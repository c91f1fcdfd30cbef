"""Members of a comparison as data, and the rule by which one of them is marked best."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from pipelines.changes import Change
from pipelines.models import Run, RunState


@dataclass(frozen=True, slots=True)
class Rate:
    """A win rate against the base with its interval."""

    rate: float
    low: float
    high: float
    best: bool = False

    @property
    def beats_base(self) -> bool:
        return self.low > 0.5

    @property
    def loses(self) -> bool:
        return self.high < 0.5


Key = TypeVar("Key")
Rates = Mapping[str, Mapping[str, Rate]]  # judge -> dimension -> rate


@dataclass(frozen=True, slots=True)
class Member:
    """One setting: its run, what is its own, what training and judges say.

    `motion`: the amount of motion of its clips against the base's (`models_align.motion`).
    """

    run: Run
    name: str
    differs: Mapping[str, str]
    training: Mapping[str, float]
    rates: Rates = field(default_factory=dict)
    motion: Change | None = None
    alarms: Sequence[str] = ()
    took: timedelta | None = None
    evaluation: Run | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run.pk,
            "name": self.name,
            "state": self.run.state,
            "differs": dict(self.differs),
            "training": dict(self.training),
            "win_rates": {
                judge: {key: asdict(rate) for key, rate in rates.items()}
                for judge, rates in self.rates.items()
            },
            "motion": None if self.motion is None else asdict(self.motion),
            "alarms": list(self.alarms),
            "seconds": None if self.took is None else round(self.took.total_seconds(), 1),
            "evaluation": None if self.evaluation is None else self.evaluation.pk,
        }


@dataclass(frozen=True, slots=True)
class Table:
    """All members. `judges` goes from judge to its dimensions, overall first."""

    members: Sequence[Member]
    judges: Mapping[str, Sequence[str]]
    training_rewards: frozenset[str]  # judges that a member was trained on
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "members": [each.to_json() for each in self.members],
            "judges": {judge: list(keys) for judge, keys in self.judges.items()},
            "training_rewards": sorted(self.training_rewards),
            "note": self.note,
        }


def with_winners(members: Sequence[Member], judges: Mapping[str, Sequence[str]]) -> list[Member]:
    """Members with their figures marked that are best beyond doubt.

    Nobody is best while another one may still be judged.
    """
    best = {(judge, key): _best(members, judge, key) for judge in judges for key in judges[judge]}
    return [_marked(each, best) for each in members]


def _best(members: Sequence[Member], judge: str, key: str) -> int | None:
    rates = {
        each.run.pk: each.rates[judge][key] for each in members if key in each.rates.get(judge, {})
    }
    open_still = any(
        each.run.pk not in rates and each.run.state not in (RunState.FAILED, RunState.CANCELLED)
        for each in members
    )
    return None if open_still else winner(rates)


def _marked(member: Member, best: Mapping[tuple[str, str], int | None]) -> Member:
    rates = {
        judge: {
            key: replace(each, best=best[judge, key] == member.run.pk)
            for key, each in of_judge.items()
        }
        for judge, of_judge in member.rates.items()
    }
    return replace(member, rates=rates)


def winner(rates: Mapping[Key, Rate]) -> Key | None:
    """The one whose whole interval lies above all others'; None where intervals touch."""
    if len(rates) < 2:
        return None
    first = max(rates, key=lambda key: rates[key].low)
    rest = max(rate.high for key, rate in rates.items() if key != first)
    return first if rates[first].low > rest else None
