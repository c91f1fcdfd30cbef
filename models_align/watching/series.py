"""What a run has shown so far, and which alarms that gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from models_align.alarms import (
    Curve,
    Finding,
    Looks,
    advice,
    change,
    displacement,
    loss_of_diversity,
    loss_of_motion,
    reward_hacking,
    saturation,
)
from models_align.config import AlignmentConfig
from models_align.watching.judging import JUDGE, REWARD
from models_align.watching.looks import Look, mean
from models_align.watching.settings import DISPLACEMENT, DIVERSITY, HACKING, MOTION, SATURATION

# Of the readings of a log, what alarms look at.
_READ = ("winner_drift", "z_max", "implicit_accuracy")


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm at `step`; `good` is the last step at which nothing was wrong."""

    name: str
    step: int
    good: int
    sentence: str
    advice: str

    def to_json(self) -> dict[str, str | int]:
        return asdict(self)

    @property
    def words(self) -> str:
        return f"{self.name} at step {self.step}: {self.sentence}. {self.advice}"


class Series:
    """The curves of training and the looks; each alarm is raised once."""

    def __init__(self, config: AlignmentConfig):
        self.config = config
        self.alarms: dict[str, Alarm] = {}
        self._curves: dict[str, list[tuple[int, float]]] = {name: [] for name in _READ}
        self._looks: list[Look] = []

    def saw(self, look: Look) -> None:
        self._looks.append(look)

    def read(self, step: int, values: Mapping[str, float]) -> tuple[Alarm, ...]:
        """Take the readings of a step; give the alarms that they raise."""
        for name in _READ:
            if name in values:
                self._curves[name].append((step, values[name]))
        raised = tuple(
            Alarm(name, step, found.good, found.sentence, advice(name, self.config.method))
            for name, found in self.findings().items()
            if found.sentence and name not in self.alarms
        )
        self.alarms |= {each.name: each for each in raised}
        return raised

    def findings(self) -> dict[str, Finding]:
        """What each alarm finds now."""
        settings, curve = self.config.alarms, self._curves
        accuracy: Curve = curve["implicit_accuracy"]
        return {
            DISPLACEMENT: displacement(curve["winner_drift"], settings),
            SATURATION: saturation(curve["z_max"], accuracy, settings, steps=self.config.steps),
            MOTION: loss_of_motion(self._by_prompt(lambda look: look.motion), settings),
            DIVERSITY: loss_of_diversity(self._by_prompt(_spread), settings),
            HACKING: reward_hacking(self._scores(REWARD), self._scores(JUDGE), settings),
        }

    def score_at(self, step: int) -> float | None:
        """The mean score of the look at a step; None where nothing was looked at or judged."""
        for judge in (JUDGE, REWARD):
            for at, scores in self._scores(judge):
                if at == step:
                    return mean(scores)
        return None

    def summary(self) -> dict[str, dict[str, dict[str, float]]]:
        """The last look against the base: means and the change with its 95 % interval."""
        kinds: dict[str, Callable[[Look], list[float]]] = {
            REWARD: lambda look: look.scores(REWARD),
            JUDGE: lambda look: look.scores(JUDGE),
            MOTION: lambda look: look.motion,
            DIVERSITY: _spread,
        }
        found = {}
        for name, values in kinds.items():
            looks = self._by_prompt(values)
            if len(looks) > 1:
                moved = change(looks[0][1], looks[-1][1])
                now = {"base": mean(looks[0][1]), "now": mean(looks[-1][1])}
                found[name] = {**now, "change": moved.mean, "low": moved.low, "high": moved.high}
        return {"watched": found} if found else {}

    def _scores(self, judge: str) -> Looks:
        return self._by_prompt(lambda look: look.scores(judge))

    def _by_prompt(self, values: Callable[[Look], Sequence[float]]) -> Looks:
        found = [(look.step, values(look)) for look in self._looks]
        return [(step, each) for step, each in found if each]


def _spread(look: Look) -> list[float]:
    return list(look.spread.values())
