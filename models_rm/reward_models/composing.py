"""Several reward models as one: each with a backbone, a kind of head and dimensions of its own.

So AnimeReward is built (arXiv 2504.10044): six dimensions, each judged by whatever judges it best.

model.json        the card for machines: which members, which dimensions of each, their hashes
README.md         the card for people
members/<name>/   a reward model, whole and as it was
manifest.json     hashes
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from formats.checkpoints import commit_folder, verify_folder
from formats.dimensions import DimensionSet
from formats.errors import FormatError
from formats.files import read_json, sha256_of, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.run_dir import INPUTS
from formats.supervised import BadConfigError, Supervised
from models_rm.config import CompositionConfig, ConfigError
from models_rm.errors import CompositionError
from models_rm.networks.attention import use_for_vision
from models_rm.networks.collator import Collator
from models_rm.reward_models.checkpoints import ModelCard, backbone_sha256, load_folder, read_card
from models_rm.reward_models.members import Member

SCHEMA: Final = "composed_reward_model/1"
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
Backbones = Path | str | Mapping[str, Path | str] | None


@dataclass(frozen=True, slots=True)
class MemberRef:
    """One member in model.json: where it lies is `members/<name>`, what it gives is `keys`."""

    name: str
    keys: tuple[str, ...]
    sha256: str  # of its manifest.json


@dataclass(frozen=True, slots=True)
class ComposedCard:
    """What model.json of a composed model says. The total is the mean by `weights`."""

    dimensions: DimensionSet
    members: tuple[MemberRef, ...]
    weights: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, folder: Path) -> Self:
        verify_folder(folder)
        path = folder / "model.json"
        value = read_json(path, SCHEMA)
        try:
            return cls(
                dimensions=DimensionSet.from_json(value["dimensions"]),
                members=tuple(
                    MemberRef(str(row["name"]), tuple(row["keys"]), str(row["sha256"]))
                    for row in value["members"]
                ),
                weights={key: float(weight) for key, weight in value["weights"].items()},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"not the card of a composed model: {error}", path=path) from error


def is_composed(folder: Path) -> bool:
    return (folder / "members").is_dir()


# Opening.


def load_members(
    folder: Path, backbone: Backbones, dtype: str, *, accept_other_libraries: bool = False
) -> list[Member]:
    """The networks of a folder: of a composed model all, in the order of its dimensions."""
    member = partial(_member, dtype=dtype, accept_other_libraries=accept_other_libraries)
    if not is_composed(folder):
        if isinstance(backbone, Mapping):
            raise BadConfigError("one backbone is wanted: the reward model is not composed")
        return [member("", folder, None if backbone is None else str(backbone))]
    card = ComposedCard.read(folder)
    members = []
    for ref in card.members:
        place = folder / "members" / ref.name
        _refuse_another(place, ref)
        where = _backbone_of(ref.name, place, backbone)
        members.append(member(ref.name, place, where, keys=ref.keys))
    return members


def _member(
    name: str,
    folder: Path,
    backbone: str | None,
    *,
    dtype: str,
    accept_other_libraries: bool,
    keys: tuple[str, ...] | None = None,
) -> Member:
    network, tokenizer, card = load_folder(
        folder, backbone=backbone, dtype=dtype, accept_other_libraries=accept_other_libraries
    )
    use_for_vision(network.backbone.visual)
    collator = Collator(tokenizer, network.family, card.rating_text)
    return Member(name, network, collator, card, network.keys if keys is None else keys)


def _refuse_another(folder: Path, ref: MemberRef) -> None:
    found = sha256_of(folder / "manifest.json")
    if found != ref.sha256:
        raise CompositionError(
            f"the member has changed: expected sha256 {ref.sha256[:12]}…, found {found[:12]}…",
            path=folder,
        )


def _backbone_of(name: str, folder: Path, given: Backbones) -> str | None:
    """Where a member's backbone lies now: as it is said for it, or the one for all if it is its."""
    if isinstance(given, Mapping):
        return str(given[name]) if name in given else None
    if given is None:
        return None
    wanted = read_card(folder).backbone.sha256
    return str(given) if wanted and backbone_sha256(str(given)) == wanted else None


# Making.


def compose(run: Supervised) -> Outcome:
    """`python -m models_rm compose RUN_DIR`: one reward model of the inputs `reward_model:NAME`."""
    try:
        config = CompositionConfig.from_json(run.dir.config())
    except (ConfigError, TypeError) as error:
        raise BadConfigError(str(error)) from error
    folders = {
        role.partition(":")[2]: run.dir.input(role)
        for role in read_json(run.dir.inputs_file, INPUTS)["inputs"]
        if role.startswith("reward_model:")
    }
    target = run.dir.outputs / "reward_model"
    run.dir.log_metrics(0, len(folders), stage="checking and copying the members")
    card, members, sha256 = compose_folder(target, folders, config)
    run.dir.log_metrics(len(folders), len(folders), stage="done")
    keys = list(card.dimensions.keys)
    meta = {
        "dimensions": keys,
        "theta": {key: members[ref.name].theta[key] for ref in card.members for key in ref.keys},
        "temperature": {
            key: members[ref.name].calibration.temperature.get(key, 1.0)
            for ref in card.members
            for key in ref.keys
        },
        "members": {
            ref.name: {
                "dimensions": list(ref.keys),
                "loss": members[ref.name].config.to_json()["loss"],
                "backbone": members[ref.name].backbone.source,
                "fps": members[ref.name].frame_rule.fps,
            }
            for ref in card.members
        },
    }
    output = Output(OutputKind.REWARD_MODEL, "outputs/reward_model", sha256, meta)
    message = f"{len(card.members)} reward models judge {', '.join(keys)} together"
    return Outcome(ExitCode.DONE, "done", message, (output,), meta)


def compose_folder(
    target: Path, folders: Mapping[str, Path], config: CompositionConfig
) -> tuple[ComposedCard, dict[str, ModelCard], str]:
    """Write a composed model from the folders of its members; (card, cards of members, sha256)."""
    cards = {name: _card_of(name, folder) for name, folder in folders.items()}
    keys = _keys_of(cards, config.dimensions)
    card = ComposedCard(
        dimensions=_dimension_set(cards, keys, config),
        members=tuple(
            MemberRef(name, keys[name], sha256_of(folder / "manifest.json"))
            for name, folder in folders.items()
        ),
        weights={key: 1.0 for name in folders for key in keys[name]},
    )

    def fill(folder: Path) -> None:
        write_json(folder / "model.json", SCHEMA, card.to_json())
        (folder / "README.md").write_text(_card_for_people(card, cards), encoding="utf-8")
        for name, source in folders.items():
            shutil.copytree(source, folder / "members" / name)

    meta = {"kind": "reward_model", "dimensions": list(card.dimensions.keys)}
    return card, cards, commit_folder(target, fill, meta)


def _card_of(name: str, folder: Path) -> ModelCard:
    if not _NAME.fullmatch(name):
        raise CompositionError(
            f"a member's name is letters, digits, dots, hyphens and underscores, got {name!r}"
        )
    if is_composed(folder):
        raise CompositionError(
            f"member {name} is itself composed; give its members instead", path=folder
        )
    return read_card(folder)


def _keys_of(
    cards: Mapping[str, ModelCard], chosen: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Which dimensions each member gives; each dimension has exactly one member."""
    if len(cards) < 2:
        raise CompositionError(f"two reward models at least are composed, got {len(cards)}")
    for name in chosen:
        if name not in cards:
            raise CompositionError(f"there is no member {name!r}; there are: {', '.join(cards)}")
    owner: dict[str, str] = {}
    keys: dict[str, tuple[str, ...]] = {}
    for name, card in cards.items():
        keys[name] = tuple(chosen.get(name, card.dimensions.keys))
        for key in keys[name]:
            if key not in card.dimensions.keys:
                raise CompositionError(
                    f"member {name} judges {', '.join(card.dimensions.keys)}, not {key}"
                )
            if key in owner:
                raise CompositionError(
                    f"{key} is judged by {owner[key]} and by {name}; "
                    "say in `dimensions` which of them gives it"
                )
            owner[key] = name
    return keys


def _dimension_set(
    cards: Mapping[str, ModelCard], keys: Mapping[str, tuple[str, ...]], config: CompositionConfig
) -> DimensionSet:
    by_key = {
        name: {each.key: each for each in card.dimensions.dimensions}
        for name, card in cards.items()
    }
    return DimensionSet(
        name=config.name,
        title=config.title or "Composed of " + ", ".join(cards),
        dimensions=tuple(by_key[name][key] for name in cards for key in keys[name]),
    )


def _card_for_people(card: ComposedCard, cards: Mapping[str, ModelCard]) -> str:
    rows = "\n".join(
        f"| {ref.name} | {', '.join(ref.keys)} | `{cards[ref.name].config.loss}` "
        f"| `{cards[ref.name].backbone.source}` | {cards[ref.name].frame_rule.fps:g} "
        f"| `{ref.sha256[:12]}` |"
        for ref in card.members
    )
    return f"""\
# Reward model: {card.dimensions.title}

Composed: every dimension has one member, which looks at a clip by its own frame rule and keeps its
own calibration. The total is the mean of the scores with equal weights; no weights are published
for AnimeReward (arXiv 2504.10044). Each member's card lies in `members/`.

| member | dimensions | loss | backbone | frames per second | manifest |
| --- | --- | --- | --- | --- | --- |
{rows}
"""
