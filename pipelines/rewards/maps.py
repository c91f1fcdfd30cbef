"""The map from a calibrated total to [0, 1], which GAPO weighs pairs with (arXiv 2504.10044).

It is made of knots, so that it can be read, audited and used again, and it is stored beside the
pairs that were made with it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from formats.errors import FormatError
from formats.files import read_json, write_json

SCHEMA: Final = "reward_map/1"
FILE: Final = "reward_map.json"
MAPPINGS: Final = ("quantile", "minmax")
_KNOTS: Final = 257  # every 0.4 % of the clips; between them the map is straight


@dataclass(frozen=True, slots=True)
class RewardMap:
    """Straight between its `knots` (total, value), which rise in both.

    Beyond them a `quantile` map goes on to 0 and 1 in curves of the scale `tail`, so that it rises
    everywhere; a `minmax` map has no tail (0) and stays where it is. `fitted_on` are the prompts
    whose clips it was fitted on (`clips` of them, totals by `weights`), `reward_model` the sha256
    of the model that judged them; empty where nobody knows.
    """

    mapping: str
    knots: tuple[tuple[float, float], ...]
    tail: float = 0.0
    fitted_on: str = ""
    clips: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)
    reward_model: str = ""

    def __post_init__(self) -> None:
        if len(self.knots) < 1 or not all(map(math.isfinite, sum(self.knots, (self.tail,)))):
            raise FormatError("a reward map needs knots of finite numbers")
        if any(b[0] <= a[0] or b[1] <= a[1] for a, b in pairwise(self.knots)):
            raise FormatError("the knots of a reward map must rise, in totals and in values")
        low, high = self.knots[0][1], self.knots[-1][1]
        if low < 0 or high > 1 or self.tail < 0:
            raise FormatError(
                f"a reward map must stay in [0, 1]; its values go from {low:g} to {high:g}"
            )

    def __call__(self, total: float) -> float:
        (first, low), (last, high) = self.knots[0], self.knots[-1]
        if self.tail and total > last:
            return 1 - (1 - high) * math.exp(-(total - last) / self.tail)
        if self.tail and total < first:
            return low * math.exp((total - first) / self.tail)
        import numpy as np

        totals, values = zip(*self.knots, strict=True)
        return float(np.interp(total, totals, values))

    def to_json(self) -> dict[str, Any]:
        return {
            "mapping": self.mapping,
            "knots": [list(knot) for knot in self.knots],
            "tail": self.tail,
            "fitted_on": self.fitted_on,
            "clips": self.clips,
            "weights": dict(self.weights),
            "reward_model": self.reward_model,
        }

    def facts(self) -> dict[str, Any]:
        """The map in a few words, for a summary."""
        names = ("mapping", "fitted_on", "clips", "reward_model")
        return {**{name: getattr(self, name) for name in names}, "knots": len(self.knots)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "RewardMap":
        knots = tuple((float(total), float(value)) for total, value in row["knots"])
        return cls(**{**row, "knots": knots})

    def write(self, folder: Path) -> None:
        write_json(folder / FILE, SCHEMA, self.to_json())

    @classmethod
    def read(cls, path: Path) -> "RewardMap | None":
        """The map in a folder of pairs; None where its pairs were made without one."""
        file = path / FILE
        if not file.is_file():
            return None
        try:
            return cls.from_json(read_json(file, SCHEMA))
        except (KeyError, TypeError, ValueError) as error:
            said = f"not a reward map: {type(error).__name__}: {error}"
            raise FormatError(said, path=file) from error
        except FormatError as error:
            raise FormatError(error.message, path=file) from error


def fitted(totals: Sequence[float], mapping: str, **facts: Any) -> RewardMap:
    """The map of these totals: `quantile` or `minmax`. `facts` are further fields of the map.

    `quantile` gives the share of totals below, a midrank, so that equal totals map alike; `minmax`
    stretches. Totals that are all equal say nothing, and map to one half.
    """
    import numpy as np

    levels, counts = np.unique(np.asarray(totals, dtype=float), return_counts=True)
    facts = {"clips": len(totals), **facts}
    spread = float(np.std(np.asarray(totals, dtype=float)))
    if len(levels) == 1:
        return RewardMap(mapping, ((float(levels[0]), 0.5),), **facts)
    if mapping == "minmax":
        return RewardMap(mapping, ((float(levels[0]), 0.0), (float(levels[-1]), 1.0)), **facts)
    midranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    kept = np.unique(np.linspace(0, len(levels) - 1, _KNOTS).round().astype(int))
    knots = tuple((float(levels[at]), float(midranks[at])) for at in kept)
    return RewardMap(mapping, knots, tail=spread, **facts)
