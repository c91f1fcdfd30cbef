"""How much memory a training step takes, from the shapes of a network: an estimate, before a GPU.

What is kept for the backward pass is counted layer by layer, in multiples of the widths. The counts
are those of `batching` and `lean` (packed rows), and a test compares them with what autograd really
keeps for small networks of each family; the factors are what the test allows. Not counted: the
memory of the libraries themselves (a CUDA context, kernels) and what the allocator wastes.
"""

from dataclasses import dataclass
from typing import Any, Final

from torch import nn

from models_rm.config import RewardModelConfig
from models_rm.networks.network import RewardNetwork

# Estimate and measurement differ by less, either way: of activations, and of the peak of a step.
FACTOR: Final = 1.2
# With checkpoints the peak may be this much lower: layers that are done free their inputs.
FACTOR_OF_CHECKPOINTS: Final = 1.4
_PIXELS: Final = 3  # colours


@dataclass(frozen=True, slots=True)
class Work:
    """What goes through the network in one forward."""

    clips: int
    patches: int  # of all clips together
    tokens: int  # of all rows together, text and video


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one process."""

    weights: int
    gradients: int
    optimizer: int  # the two moments of Adam, float32
    activations: int  # kept for the backward pass
    working: int  # what one layer needs on top while it is computed backwards

    @property
    def total(self) -> int:
        return sum((self.weights, self.gradients, self.optimizer, self.activations, self.working))


@dataclass(frozen=True, slots=True)
class _Kept:
    """Bytes that one layer keeps, and its input, which is all that a checkpoint keeps."""

    whole: int
    input: int


def training_memory(network: RewardNetwork, config: RewardModelConfig, work: Work) -> Memory:
    """Of a step of the network as `config` prepared it; weights may be on the meta device."""
    learned = [each for each in network.parameters() if each.requires_grad]
    numbers = sum(each.numel() for each in learned)
    size = 2 if config.dtype == "bfloat16" else 4
    again = config.gradient_checkpointing
    layers = _decoder_layers(network, config, work, size)
    blocks = _vision_blocks(network, work, size)
    of_clips = _kept(blocks, again=again) + _ends_of_vision(network, work, size)
    of_text = _kept(layers, again=again) + _last_layer(network, config, work, size)
    # Under autocast each weight that learns has a copy in bfloat16.
    copies = 2 * numbers if size == 2 else 0
    text_working, clip_working = _gradients_inside(network, work, size)
    # The decoder goes back first, and what it kept is gone when the tower does.
    at_text = of_clips + of_text + _widest(layers, again=again) + text_working
    at_clips = of_clips + _widest(blocks, again=again) + clip_working
    return Memory(
        weights=sum(each.numel() * each.element_size() for each in network.parameters()),
        gradients=4 * numbers,
        optimizer=8 * numbers,
        activations=of_clips + of_text + copies,
        working=max(at_text, at_clips) - of_clips - of_text,
    )


def _kept(layers: list[_Kept], *, again: bool) -> int:
    """With checkpoints (`again`) only the inputs, and each layer is computed again."""
    return sum(each.input if again else each.whole for each in layers)


def _widest(layers: list[_Kept], *, again: bool) -> int:
    return max((each.whole for each in layers), default=0) if again else 0


def _decoder_layers(
    network: RewardNetwork, config: RewardModelConfig, work: Work, size: int
) -> list[_Kept]:
    """All but the last, which runs at the reward tokens only."""
    kept = []
    for layer in list(network.adapter.language_of(network.backbone).layers)[:-1]:
        widths = _Widths.of(layer)
        numbers = 2 * widths.hidden + 2 * widths.queries + 2 * widths.keys
        how = "lora" if widths.rank else config.language
        numbers += widths.rise * _inside_gated(how, size)
        if widths.head_norms:
            numbers += widths.queries + widths.keys
        if config.language != "frozen":
            numbers += _inputs_of_linear(widths, size) + widths.rank * widths.adapted
        whole = numbers * work.tokens * size
        kept.append(_Kept(whole, widths.hidden * work.tokens * size))
    return kept


def _inside_gated(how: str, size: int) -> int:
    """Gate and value before they meet; outside of the lean way silu of the gate as well, and what
    comes of both where the last layer learns."""
    if size == 4 and how == "lora":
        return 2
    return 3 if how == "frozen" else 4


def _inputs_of_linear(widths: "_Widths", size: int) -> int:
    """Layers that learn keep their inputs: one for all in full precision, under autocast a copy
    for each of q, k, v, gate and up, and for o."""
    return 2 * widths.hidden if size == 4 else 5 * widths.hidden + widths.queries


def _last_layer(network: RewardNetwork, config: RewardModelConfig, work: Work, size: int) -> int:
    """Keys and values of all tokens; everything else of a few."""
    widths = _Widths.of(network.adapter.language_of(network.backbone).layers[-1])
    if config.gradient_checkpointing:
        return widths.hidden * work.tokens * size
    inputs = 0 if config.language == "frozen" else 1 if size == 4 else 2
    numbers = (1 + inputs) * widths.hidden + 2 * widths.keys + 2 * widths.rank
    if widths.head_norms:
        numbers += widths.keys
    return numbers * work.tokens * size


def _vision_blocks(network: RewardNetwork, work: Work, size: int) -> list[_Kept]:
    kept = []
    for block in network.adapter.vision_of(network.backbone).blocks:
        if not _learns(network.adapter.vision_of(network.backbone), but=_mergers(network)):
            return []
        width = block.attn.qkv.in_features
        adapters = [each for each in block.modules() if hasattr(each, "lora_A")]
        numbers = _around(block, size, adapted=bool(adapters)) * width
        numbers += _rise_of(block.mlp) * _inside(block.mlp, size, adapted=bool(adapters))
        numbers += sum(each.r["default"] for each in adapters)
        kept.append(_Kept(numbers * work.patches * size, width * work.patches * size))
    return kept


def _around(block: Any, size: int, *, adapted: bool) -> int:
    """How many tensors of its own width a block of the tower keeps.

    In full precision q, k and v in one and the result of attention, the input of both norms, and
    their results where they are not made again; else the library's ways turn copies of q and k.
    """
    if size == 2:
        return 10
    return 6 if isinstance(block.norm1, nn.LayerNorm) and not adapted else 8


def _inside(mlp: Any, size: int, *, adapted: bool) -> int:
    """How many tensors of the inner width a feed-forward of the tower keeps."""
    if hasattr(mlp, "gate_proj"):
        return _inside_gated("lora" if adapted else "full", size)
    if size == 4 and not adapted:
        return 1
    # x * sigmoid(1.702 x) keeps both factors, a gelu its input; the next layer its result.
    return 3 if "Quick" in type(getattr(mlp, "act", None)).__name__ else 2


def _ends_of_vision(network: RewardNetwork, work: Work, size: int) -> int:
    """The patches as they come, and what the mergers keep."""
    vision = network.adapter.vision_of(network.backbone)
    total = 0
    if any(each.requires_grad for each in vision.patch_embed.parameters()):
        family = network.family
        pixels = _PIXELS * family.temporal_patch * family.patch**2
        total += pixels * work.patches * (1 if size == 4 else 2)
    width = vision.blocks[0].attn.qkv.in_features
    if _learns(vision, but=()):
        # Input of the norm, its result, the input of the activation, and what comes of it.
        total += 4 * width * len(_mergers(network)) * work.patches * size
    return total


def _gradients_inside(network: RewardNetwork, work: Work, size: int) -> tuple[int, int]:
    """In a feed-forward of the decoder and of the tower, three of its width are there at once."""
    vision = network.adapter.vision_of(network.backbone)
    language = network.adapter.language_of(network.backbone)
    of_text = 3 * _Widths.of(language.layers[0]).rise * work.tokens * size
    if not _learns(vision, but=_mergers(network)):
        return of_text, 0
    return of_text, 3 * _rise_of(vision.blocks[0].mlp) * work.patches * size


def _mergers(network: RewardNetwork) -> tuple[nn.Module, ...]:
    """Each one by itself; a list of them is opened."""
    found: list[nn.Module] = []
    for module in network.adapter.mergers_of(network.backbone):
        found += list(module) if isinstance(module, nn.ModuleList) else [module]
    return tuple(found)


def _learns(module: nn.Module, *, but: tuple[nn.Module, ...]) -> bool:
    left_out = {id(each) for part in but for each in part.parameters()}
    return any(each.requires_grad and id(each) not in left_out for each in module.parameters())


def _rise_of(mlp: Any) -> int:
    for name in ("gate_proj", "linear_fc1", "fc1"):
        if hasattr(mlp, name):
            return int(getattr(mlp, name).out_features)
    raise AssertionError("a feed-forward begins with gate_proj, linear_fc1 or fc1")


@dataclass(frozen=True, slots=True)
class _Widths:
    """Of a decoder layer."""

    hidden: int
    queries: int  # of all heads together
    keys: int
    rise: int  # inside the feed-forward
    rank: int  # of its adapters, 0 without
    adapted: int  # how many layers have one
    head_norms: bool

    @classmethod
    def of(cls, layer: Any) -> "_Widths":
        attention, mlp = layer.self_attn, layer.mlp
        adapters = [each for each in layer.modules() if hasattr(each, "lora_A")]
        return cls(
            hidden=attention.q_proj.in_features,
            queries=attention.q_proj.out_features,
            keys=attention.k_proj.out_features,
            rise=mlp.gate_proj.out_features,
            rank=adapters[0].r["default"] if adapters else 0,
            adapted=len(adapters),
            head_norms=hasattr(attention, "q_norm"),
        )
