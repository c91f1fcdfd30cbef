"""What a comparison is asked for: members that differ in settings, and how they are tested."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pipelines import kinds
from pipelines.contests import BASE
from pipelines.errors import InvalidRunConfig
from pipelines.splitting import TEST
from pipelines.step_configs import StepConfig, require

KIND: Final = "alignment"
MOST: Final = 24  # members of one comparison: a table that a person can still read
_LONGEST_NAME: Final = 40


@dataclass(frozen=True, slots=True)
class TestConfig(StepConfig):
    """How members are tested: prompts (of a suite or of `campaign`), then a section per step.

    `split` are the shares by which prompts were divided when the pairs were made. Without `truth`
    nobody knows the truth.
    """

    prompts: Mapping[str, Any] = field(default_factory=lambda: {"split": TEST})
    campaign: str = ""
    split: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    scoring: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, Any] | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ComparisonConfig(StepConfig):
    """Members are `variations` of `base`, whole `configs`, or both, by name.

    An entry of a variation takes the place of the base's, and those inside `settings`, `lora` and
    the like one by one; where it names another method, settings of the base's are left out. A
    config may name a `preset` to start from. `test` left out: members are trained, not tested.
    """

    name: str = "Comparison"
    base: Mapping[str, Any] = field(default_factory=dict)
    variations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    test: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        require(self.name, "name", "a text", self.name)
        _objects("variations", self.variations)
        _objects("configs", self.configs)
        require(isinstance(self.base, Mapping), "base", "an object with settings", self.base)
        require(not self.base or self.variations, "variations", "given with a base", {})
        names = [*self.variations, *self.configs]
        require(2 <= len(names) <= MOST, "members", f"2 to {MOST}", len(names))
        for each in names:
            fits = 0 < len(each) <= _LONGEST_NAME and each != BASE and names.count(each) == 1
            rule = f"of 1 to {_LONGEST_NAME} letters, given once and not {BASE!r}"
            require(fits, "the name of a member", rule, each)


def _objects(name: str, values: object) -> None:
    fits = isinstance(values, Mapping) and all(isinstance(v, Mapping) for v in values.values())
    require(fits, name, "an object from name to settings", values)


def members_of(config: ComparisonConfig) -> dict[str, dict[str, Any]]:
    """The whole config of each member, checked; two that say the same are an InvalidRunConfig."""
    asked = {name: varied(config.base, changes) for name, changes in config.variations.items()}
    asked |= {name: dict(values) for name, values in config.configs.items()}
    found = {name: _checked(name, values) for name, values in asked.items()}
    _refuse_twins(found)
    return found


def varied(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The base's entries with those of a variation over them, one level deep."""
    result = dict(base)
    if "method" in changes and changes["method"] != base.get("method"):
        result.pop("settings", None)  # Those of another method mean nothing to this one.
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = {**result[key], **value} if both else value
    return result


def _checked(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    spec = kinds.get(KIND)
    given = {key: value for key, value in values.items() if key != "preset"}
    try:
        whole = spec.preset(values["preset"], given) if "preset" in values else given
        return spec.check({**whole, "name": name})
    except InvalidRunConfig as error:
        raise InvalidRunConfig(f"{name}: {error}") from error


def _refuse_twins(members: Mapping[str, Mapping[str, Any]]) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []
    for name, config in members.items():
        said = {key: value for key, value in config.items() if key != "name"}
        twin = next((other for other, known in seen if known == said), None)
        if twin is not None:
            raise InvalidRunConfig(
                f"{twin!r} and {name!r} have the same settings: nothing would be compared; "
                "change one, or give it another seed"
            )
        seen.append((name, said))
