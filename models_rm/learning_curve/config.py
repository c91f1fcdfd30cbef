"""What a run of kind `learning_curve` can be asked to do. Standard library only."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

from models_rm.config import ConfigError, RewardModelConfig

# The curve itself decides these of every training.
DECIDED: Final = ("data_fraction", "seed", "embed_backbone")
_FEWEST: Final = 2
_MOST_CELLS: Final = 200


@dataclass(frozen=True, slots=True)
class LearningCurveConfig:
    """How accuracy grows with votes: one training per fraction and seed, the same test pairs.

    `fractions` are shares of the training prompts; the smaller ones lie inside the larger ones.
    VideoAlign (arXiv 2501.13918, figure 2) compares losses over such fractions.
    """

    fractions: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    gain: float = 0.01  # what the forecast is asked for: one point of accuracy
    bootstrap: int = 1000  # resamples of test prompts and seeds
    model: Mapping[str, Any] = field(default_factory=dict)  # entries of a reward model's config

    def __post_init__(self) -> None:
        self._check_cells()
        if not _is_number(self.gain) or not 0 < self.gain < 1:
            raise ConfigError(f"gain must be above 0 and below 1, got {self.gain!r}")
        if not _is_whole(self.bootstrap, 100):
            raise ConfigError(f"bootstrap must be at least 100, got {self.bootstrap!r}")
        if not isinstance(self.model, Mapping):
            raise ConfigError(f"model must be an object, got {self.model!r}")
        for key in DECIDED:
            if key in self.model:
                raise ConfigError(f"{key} belongs to the curve; leave it out of model")
        self.of_cell(self.fractions[0], self.seeds[0])

    def _check_cells(self) -> None:
        for name, good in (("fractions", _is_fraction), ("seeds", _is_whole)):
            values = getattr(self, name)
            if not isinstance(values, tuple) or not values or not all(map(good, values)):
                what = "shares above 0 and at most 1" if name == "fractions" else "whole numbers"
                raise ConfigError(f"{name} must be a list of {what}, got {_shown(values)}")
            if len(set(values)) != len(values):
                raise ConfigError(f"{name} names one twice: {_shown(values)}")
        if list(self.fractions) != sorted(self.fractions) or len(self.fractions) < _FEWEST:
            raise ConfigError(
                f"fractions must rise and be at least {_FEWEST}, got {_shown(self.fractions)}"
            )
        if len(self.fractions) * len(self.seeds) > _MOST_CELLS:
            raise ConfigError(
                f"fractions times seeds must be at most {_MOST_CELLS} trainings, "
                f"got {len(self.fractions) * len(self.seeds)}"
            )

    def of_cell(self, fraction: float, seed: int) -> RewardModelConfig:
        """The config of one training."""
        return RewardModelConfig.from_json({**self.model, "data_fraction": fraction, "seed": seed})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        known = [each.name for each in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f"unknown key {unknown[0]!r}; known keys: {', '.join(known)}")
        lists = {name: value for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **{name: tuple(value) for name, value in lists.items()}})

    def to_json(self) -> dict[str, Any]:
        """With the whole config of the model, so that its defaults can be seen and changed."""
        model = self.of_cell(self.fractions[0], self.seeds[0]).to_json()
        return {
            **asdict(self),
            "model": {key: value for key, value in model.items() if key not in DECIDED},
        }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_fraction(value: object) -> bool:
    return _is_number(value) and 0 < value <= 1  # type: ignore[operator]


def _is_whole(value: object, low: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _shown(values: object) -> str:
    return ", ".join(map(str, values)) if isinstance(values, tuple) else repr(values)
