"""LoRA adapters of generators: added, switched off, saved as diffusers loads them, and loaded.

An adapter folder, verified as one unit:

pytorch_lora_weights.safetensors                  of `transformer`
transformer_2/pytorch_lora_weights.safetensors    of the second network, where there is one
card.json                                         what it was trained with, and on which base
README.md                                         the same for people and the hub
manifest.json                                     hashes

`pipeline.load_lora_weights(folder)` of plain diffusers takes it as it is; the second network takes
`load_lora_weights(folder + "/transformer_2", load_into_transformer_2=True)`.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict

from formats.checkpoints import commit_folder, verify_folder
from formats.files import read_json, write_json
from formats.supervised import BadConfigError
from models_align.cards import README, completed, markdown
from models_align.config import AlignmentConfig
from models_align.errors import OtherBaseError
from models_align.generators.base import Generator
from models_align.generators.identity import identity

ADAPTER: Final = "aligned"
CARD: Final = "adapter/1"
FIRST: Final = "transformer"


def add_adapter(generator: Generator, config: AlignmentConfig) -> LoraConfig:
    """Put a fresh LoRA on each network; it changes nothing until it is trained.

    Its weights are float32 whatever the network is in: small steps would be lost in bfloat16.
    """
    lora = config.lora
    targets = list(lora.targets or generator.lora_targets)
    peft = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        # B starts at zero, so the policy equals the reference at step 0.
        init_lora_weights="gaussian",
    )
    torch.manual_seed(config.seed)
    try:
        for network in generator.networks.values():
            _peft(network).add_adapter(peft, adapter_name=ADAPTER)
    except ValueError as error:
        raise BadConfigError(f"LoRA cannot go on {', '.join(targets)}: {error}") from error
    for parameter in trainable_parameters(generator).values():
        parameter.data = parameter.data.float()
    return peft


def trainable_parameters(generator: Generator) -> dict[str, torch.nn.Parameter]:
    """What learns, by network and name; always in the same order."""
    return {
        f"{name}.{key}": parameter
        for name, network in generator.networks.items()
        for key, parameter in network.named_parameters()
        if parameter.requires_grad
    }


@contextmanager
def without_adapter(generator: Generator) -> Iterator[None]:
    """The base itself, the reference of alignment, without a second copy of it."""
    for network in generator.networks.values():
        _peft(network).disable_adapters()
    try:
        yield
    finally:
        for network in generator.networks.values():
            _peft(network).enable_adapters()


def adapter_weights(generator: Generator) -> dict[str, torch.Tensor]:
    """All weights of the adapter on the CPU, named `<network>.<weight>`."""
    return {
        f"{name}.{key}": value
        for name, network in generator.networks.items()
        for key, value in _weights(network).items()
    }


def put_adapter_weights(generator: Generator, weights: Mapping[str, torch.Tensor]) -> None:
    """Give an adapter that was added the weights that `adapter_weights` gave."""
    for name, network in generator.networks.items():
        own = {
            k.removeprefix(f"{name}."): v for k, v in weights.items() if k.startswith(f"{name}.")
        }
        set_peft_model_state_dict(network, own, adapter_name=ADAPTER)


def commit_adapter(
    target: Path, generator: Generator, lora: LoraConfig, card: Mapping[str, Any]
) -> str:
    """Write what `load_lora_weights` of diffusers reads, and a card; give the manifest's sha256."""

    def fill(folder: Path) -> None:
        for name, network in generator.networks.items():
            type(generator.pipeline).save_lora_weights(
                str(folder_of(folder, name)),
                transformer_lora_layers=_weights(network),
                # Without it diffusers takes alpha for r, and a scale is lost without a word.
                transformer_lora_adapter_metadata=_plain(lora),
            )
        whole = completed({**card, "networks": networks_of(generator)})
        write_json(folder / "card.json", CARD, whole)
        (folder / README).write_text(markdown(whole), encoding="utf-8")

    return commit_folder(target, fill)


def load_adapter(generator: Generator, folder: Path, *, scale: float = 1.0) -> dict[str, Any]:
    """Put a committed adapter on its generator, verified; give its card.

    An adapter for another base is an OtherBaseError, also where its tensors would fit.
    """
    verify_folder(folder)
    card = read_json(folder / "card.json", CARD)
    _refuse_other_base(card, generator, folder)
    for name in generator.networks:
        where = {} if name == FIRST else {f"load_into_{name}": True}
        source = str(folder_of(folder, name))
        generator.pipeline.load_lora_weights(source, adapter_name=ADAPTER, **where)
    generator.pipeline.set_adapters([ADAPTER], [scale])
    for network in generator.networks.values():
        network.eval()
    return card


def folder_of(folder: Path, network: str) -> Path:
    """Where the weights of a network lie in an adapter folder."""
    return folder if network == FIRST else folder / network


def networks_of(generator: Generator) -> dict[str, Any]:
    """What must agree between an adapter and a base, per network."""
    return {
        name: {"class": type(network).__name__, "sha256": identity(network)}
        for name, network in generator.networks.items()
    }


def _refuse_other_base(card: Mapping[str, Any], generator: Generator, folder: Path) -> None:
    found = networks_of(generator)
    if "networks" in card:
        different = card["networks"] != found
    else:  # Cards before there were generators of two networks knew the sizes alone.
        config = generator.networks[FIRST].config
        different = any(config.get(key) != value for key, value in card["transformer"].items())
    if different:
        raise OtherBaseError(
            f"the adapter was made for another base than {generator.source!r}: it was trained on "
            f"{card.get('base', 'one that its card does not name')!r}",
            path=folder / "card.json",
        )


def _peft(network: torch.nn.Module) -> Any:
    """diffusers' networks have the doors of PEFT; torch does not know."""
    return network


def _weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    weights = get_peft_model_state_dict(network, adapter_name=ADAPTER)
    return {name: each.detach().cpu().contiguous() for name, each in weights.items()}


def _plain(lora: LoraConfig) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: sorted(value) if isinstance(value, set) else value
        for name, value in lora.to_dict().items()
    }
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain
