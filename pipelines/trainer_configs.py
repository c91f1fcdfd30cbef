"""The configs of the trainers, read before a run is queued. The only module that imports them.

Those modules are standard library only, so the web process stays free of torch.
"""

import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from measuring.config import GatheringConfig as MeasuredConfig
from measuring.config import VBenchConfig
from models_align.config import SETTINGS, AlignmentConfig, GenerationConfig
from models_align.config import GatheringConfig as GatheredConfig
from models_align.grid_config import GridConfig
from models_align.latent_reward.config import LatentRewardConfig
from models_align.presets import PRESETS as ALIGNMENTS
from models_align.presets import Preset as Alignment
from models_rm.config import (
    BenchmarkConfig,
    CompositionConfig,
    ConversionConfig,
    EvaluationConfig,
    GatheringConfig,
    RewardModelConfig,
    ScoringConfig,
)
from models_rm.learning_curve.config import LearningCurveConfig
from models_rm.presets import PRESETS, Preset
from pipelines.errors import InvalidRunConfig

MAX_CHARACTERS: Final = 200_000
_BEYOND: Final = 2**63
_DIGITS: Final = 20
ALIGNMENT_METHODS: Final = tuple(SETTINGS)


class _Config(Protocol):
    def to_json(self) -> dict[str, Any]: ...


def reward_model(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(RewardModelConfig.from_json, values)


def learning_curve(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(LearningCurveConfig.from_json, values)


def scoring(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(ScoringConfig.from_json, values)


def gathering(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(GatheringConfig.from_json, values)


def reward_evaluation(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(EvaluationConfig.from_json, values)


def benchmark(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(BenchmarkConfig.from_json, values)


def vbench(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(VBenchConfig.from_json, values)


def gathered_vbench(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(MeasuredConfig.from_json, values)


def composition(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(CompositionConfig.from_json, values)


def conversion(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(ConversionConfig.from_json, values)


def alignment(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(AlignmentConfig.from_json, values)


def generation(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(GenerationConfig.from_json, values)


def gathered_generations(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(GatheredConfig.from_json, values)


def guidance_cells(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(GridConfig.from_json, values)


def latent_reward(values: Mapping[str, Any]) -> dict[str, Any]:
    return checked(LatentRewardConfig.from_json, values)


def left_to_the_child(values: Mapping[str, Any]) -> dict[str, Any]:
    """The demo is reached as a process alone: it checks its config itself and ends with 64."""
    return plain(values)


@dataclass(frozen=True, slots=True)
class NamedConfig:
    """A config to start from, with what it follows. `values` are entries; others have defaults."""

    name: str
    title: str
    source: str
    note: str
    values: Mapping[str, Any]


def _named(preset: Preset | Alignment, values: Mapping[str, Any]) -> NamedConfig:
    return NamedConfig(preset.name, preset.title, preset.source, preset.note, values)


REWARD_PRESETS: Final = tuple(_named(each, each.changes) for each in PRESETS.values())
ALIGNMENT_PRESETS: Final = tuple(_named(each, each.changes) for each in ALIGNMENTS.values())
CURVE_PRESETS: Final = tuple(
    # The backbone is put into a checkpoint by no training of a curve.
    _named(each, {"model": {k: v for k, v in each.changes.items() if k != "embed_backbone"}})
    for each in PRESETS.values()
)


def checked(
    read: Callable[[Mapping[str, Any]], _Config], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole config with its defaults, as it will stand in config.json."""
    try:
        return plain(read(plain(values)).to_json())
    except (ValueError, TypeError, OverflowError) as error:
        # The sentence may quote a value, and a value may be as long as somebody likes.
        raise InvalidRunConfig(textwrap.shorten(str(error), 600, placeholder=" …")) from error


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The config as plain JSON: an object, finite numbers, text for keys, of a sensible size."""
    if not isinstance(values, Mapping):
        raise InvalidRunConfig(f"a config must be a JSON object, got {type(values).__name__}")
    for key in values:
        if not isinstance(key, str):
            raise InvalidRunConfig(f"the keys of a config are texts, got {key!r}")
    if "schema" in values:
        raise InvalidRunConfig("unknown key 'schema': it is kept for the file format")
    try:
        text = json.dumps(values, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRunConfig(f"the config is not plain JSON: {error}") from error
    if len(text) > MAX_CHARACTERS:
        raise InvalidRunConfig(
            f"the config has {len(text)} characters; at most {MAX_CHARACTERS} are allowed"
        )
    result: dict[str, Any] = json.loads(text, parse_int=_whole)
    return result


def _whole(text: str) -> int:
    """A whole number that a machine word holds: no step, seed or size needs more."""
    if len(text) > _DIGITS or abs(int(text)) >= _BEYOND:
        raise InvalidRunConfig(f"a number of {len(text)} digits is none of a config")
    return int(text)
