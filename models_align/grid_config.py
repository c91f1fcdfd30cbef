"""What a grid of reward guidance is asked for. Standard library only: the web reads this."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

from models_align.checked import Checked, ConfigError, require
from models_align.config import GenerationConfig, GuidanceSettings

PLAIN: Final = "plain"
UNTRAINED: Final = "untrained"
MOST_CELLS: Final = 60


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to guide; its clips differ from those of other cells in nothing else."""

    name: str
    settings: GuidanceSettings


@dataclass(frozen=True, slots=True)
class GridConfig(Checked):
    """Every table of `weights` at every strength: the same prompts, seeds and noise for all cells.

    Besides them a cell without guidance and, per strength, `untrained` controls: pushed as hard by
    so many draws of a reward that has learned nothing, because one may favour something by chance.
    `generation` is the config of each cell; its `reward_guidance` gives the clamps that all share.
    No table means all dimensions equally.
    """

    KIND: ClassVar[str] = "guidance_cells"

    weights: tuple[dict[str, float], ...] = ()
    strengths: tuple[float, ...] = (100.0,)  # VideoAlign (arXiv 2501.13918), section 5
    untrained: int = 2
    generation: GenerationConfig = field(default_factory=GenerationConfig)

    def __post_init__(self) -> None:
        require(self.untrained >= 0, "untrained", "0 (no control) or more", self.untrained)
        require(self.strengths, "strengths", "one number at least", self.strengths)
        require(all(each > 0 for each in self.strengths), "strengths", "above 0", self.strengths)
        _refuse_twins("strengths", self.strengths)
        _refuse_twins("weights", [tuple(sorted(each.items())) for each in self.weights])
        for table in self.weights:
            require(any(table.values()), "each table of weights", "above 0 somewhere", table)
        require(self.generation.chunks == 1, "chunks", "1: a grid is one run", "more")
        settings = self.generation.reward_guidance
        if settings.weight or settings.dimensions or settings.untrained:
            raise ConfigError(
                "the cells say how strongly, by which dimensions and by which reward they are "
                "guided; of reward_guidance give max_factor and max_norm alone"
            )
        require(len(list(self.cells())) <= MOST_CELLS, "the grid", f"up to {MOST_CELLS} cells", "")

    def cells(self) -> Iterator[Cell]:
        """The plain one first, then tables by strength, then the controls."""
        yield Cell(PLAIN, self._settings(0.0, {}))
        tables = self.weights or ({},)
        for strength in self.strengths:
            for table in tables:
                yield Cell(_name(table, strength), self._settings(strength, table))
        for strength in self.strengths:
            for draw in range(1, self.untrained + 1):
                settings = self._settings(strength, {}, untrained=draw)
                yield Cell(f"{UNTRAINED} {draw}, strength {strength:g}", settings)

    def _settings(
        self, strength: float, table: dict[str, float], *, untrained: int = 0
    ) -> GuidanceSettings:
        clamps = self.generation.reward_guidance
        return GuidanceSettings(strength, table, clamps.max_factor, clamps.max_norm, untrained)


def _name(table: dict[str, float], strength: float) -> str:
    told = " ".join(f"{key} {weight:g}" for key, weight in table.items() if weight)
    return f"{told or 'all equally'}, strength {strength:g}"


def _refuse_twins(name: str, values: object) -> None:
    seen: list[object] = []
    for each in values:  # type: ignore[attr-defined]
        require(each not in seen, name, "given once each", each)
        seen.append(each)
