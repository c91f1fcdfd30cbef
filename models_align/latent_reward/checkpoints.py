"""A latent reward model as a folder, verified as one unit, never a pickle.

model.json            the card for machines
README.md             the card for people
weights.safetensors   trunk (a LoRA is folded in) and heads: the folder stands alone
manifest.json         hashes
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from formats.checkpoints import verify_folder
from formats.errors import FormatError
from formats.files import read_json, sha256_of, write_json
from models_align.checked import ConfigError
from models_align.generators.trunks import described
from models_align.latent_reward.config import LatentRewardConfig
from models_align.latent_reward.network import LatentRewardNetwork

SCHEMA: Final = "latent_reward_model/1"
LIBRARIES: Final = ("torch", "diffusers", "transformers", "peft", "numpy")


@dataclass(frozen=True, slots=True)
class GeneratorRef:
    """Whose latents and text embeddings these are. `sha256` of its manifest; empty for a hub id."""

    source: str
    sha256: str

    @classmethod
    def of(cls, source: str) -> Self:
        manifest = Path(source) / "manifest.json"
        return cls(source, sha256_of(manifest) if manifest.is_file() else "")

    def is_of(self, source: str) -> bool:
        """Whether this is that generator; a folder that was moved is known by its manifest."""
        other = type(self).of(source)
        return self.sha256 == other.sha256 if self.sha256 else self.source == other.source


@dataclass(frozen=True, slots=True)
class LatentRewardCard:
    """What model.json says. `curve`: per split and dimension, one row per t."""

    dimensions: tuple[str, ...]
    config: LatentRewardConfig
    trunk: dict[str, Any]
    generator: GeneratorRef
    labels_sha256: str
    steps: int  # of the weights that were kept
    curve: dict[str, Any]
    libraries: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "config": self.config.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        known = {each.name for each in fields(cls)}
        if different := sorted(known ^ set(value)):
            raise FormatError(f"the card lacks or does not know the key {different[0]!r}")
        return cls(
            **{
                **value,
                "dimensions": tuple(value["dimensions"]),
                "config": LatentRewardConfig.from_json(value["config"]),
                "generator": GeneratorRef(**value["generator"]),
            }
        )


def fill_folder(folder: Path, network: LatentRewardNetwork, card: LatentRewardCard) -> None:
    """Write the files; to be used inside `formats.checkpoints.commit_folder`."""
    write_json(folder / "model.json", SCHEMA, card.to_json())
    (folder / "README.md").write_text(card_for_people(card), encoding="utf-8")
    weights = {name: each.cpu().contiguous() for name, each in network.state_dict().items()}
    save_file(weights, folder / "weights.safetensors")


def load_folder(folder: Path) -> tuple[LatentRewardNetwork, LatentRewardCard]:
    """The network, frozen and in evaluation mode, after every hash was checked."""
    verify_folder(folder)
    path = folder / "model.json"
    try:
        card = LatentRewardCard.from_json(read_json(path, SCHEMA))
        network = build_network(described(card.trunk), card.dimensions, card.config)
    except (KeyError, TypeError, ConfigError) as error:
        raise FormatError(f"not the card of a latent reward model: {error}", path=path) from error
    weights = folder / "weights.safetensors"
    try:
        network.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        sentence = " ".join(str(error).split())[:300]
        raise FormatError(f"the weights do not fit the card: {sentence}", path=weights) from error
    return network.requires_grad_(requires_grad=False).eval(), card


def build_network(
    trunk: torch.nn.Module, dimensions: tuple[str, ...], config: LatentRewardConfig
) -> LatentRewardNetwork:
    return LatentRewardNetwork(trunk, dimensions, pooling=config.pooling, noise=config.noise)


def library_versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def card_for_people(card: LatentRewardCard) -> str:
    """README.md of the folder."""
    config, versions = card.config, card.libraries.items()
    noise = {
        "shared": "noised latents, the same noise at the same t on both clips of a pair",
        "none": "clean latents alone; it knows no noise and is no guide through it",
    }[config.noise]
    split = next((each for each in ("test", "validation", "train") if card.curve.get(each)), "")
    head = f"""\
# Latent reward model: {", ".join(card.dimensions)}

- Generator `{card.generator.source}`; of its first blocks {card.trunk["config"]["num_layers"]},
  learning: {config.trunk}; a head per dimension, pooling by {config.pooling}.
- Loss `{config.loss}`, {card.steps} steps of {config.pairs_per_step} pairs of
  `{card.labels_sha256}`.
- Trained on {noise}.

Rewards are differences in log-odds; they have no zero of their own. The table is of the {split}
prompts, with fixed noise; intervals are bootstrapped over prompts.

| dimension | t | pairs | accuracy without ties | interval | with ties | always tie |
| --- | --- | --- | --- | --- | --- | --- |
"""
    rows = [_row(key, row) for key, rows in card.curve.get(split, {}).items() for row in rows]
    libraries = ", ".join(f"{name} {number}" for name, number in versions)
    return head + "\n".join(rows) + f"\n\nLibraries: {libraries}.\n"


def _row(key: str, row: Mapping[str, Any]) -> str:
    interval = row.get("accuracy_without_ties_interval")
    cells = [
        key,
        f"{row['t']:g}",
        str(row["pairs"]),
        _figure(row.get("accuracy_without_ties")),
        "–" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
        _figure(row.get("accuracy_with_ties")),
        _figure(row.get("baseline_always_tie")),
    ]
    return f"| {' | '.join(cells)} |"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
