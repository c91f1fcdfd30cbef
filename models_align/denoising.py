"""From noise to frames: our own loop over the network and scheduler of a generator.

Clip k of a prompt depends on the prompt and its seed alone: its noise comes from a random generator
of its own, so a base and its aligned version start from the same noise.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from formats.records import PromptRecord
from formats.supervised import BadConfigError
from models_align.config import GenerationConfig
from models_align.encoding import Size
from models_align.generators.base import Generator
from models_align.generators.conditions import Condition, repeated, stacked
from models_align.generators.refusals import refuse_long_prompts
from models_align.guidance import Guide
from models_align.images import start_image


@dataclass(frozen=True, slots=True)
class Task:
    """One clip to make."""

    prompt: PromptRecord
    seed: int

    @property
    def name(self) -> str:
        image = self.prompt.image
        parts = [
            self.prompt.id,
            self.prompt.text,
            str(self.seed),
            *([image.sha256] if image else []),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def clip_chance(prompt: str, seed: int) -> torch.Generator:
    """The chance of a clip, of the prompt and the seed alone."""
    digest = hashlib.sha256(f"{prompt}\0{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def clip_noise(prompt: str, seed: int, shape: Sequence[int]) -> torch.Tensor:
    """Standard normal noise that depends on the prompt, the seed and the shape alone."""
    return torch.randn(tuple(shape), generator=clip_chance(prompt, seed))


class TextStates:
    """Text embeddings, each prompt encoded once, in memory: a prompt is a few megabytes."""

    def __init__(self, generator: Generator, negative_prompt: str):
        self._generator = generator
        self._states: dict[str, torch.Tensor] = {}
        self.negative = self.of([negative_prompt])

    def of(self, prompts: Sequence[str]) -> torch.Tensor:  # [B, L, D]
        for each in prompts:
            if each not in self._states:
                refuse_long_prompts(self._generator, [each])
                # One by one: in a batch, the last bits would depend on its size.
                self._states[each] = self._generator.encode_prompts([each])[0]
        return torch.stack([self._states[each] for each in prompts])


class StartStates:
    """Conditions of the start images that prompts name; those of the last batch are kept."""

    def __init__(self, generator: Generator, media_root: Path, config: GenerationConfig):
        self._generator = generator
        self._media_root = media_root
        self._config = config
        self._states: dict[str, Condition] = {}

    def of(self, prompts: Sequence[PromptRecord]) -> Condition | None:
        """Batch axis first; None for a text-to-video generator."""
        if not self._generator.needs_image:
            return None
        states = {}
        for each in prompts:
            key = each.image.sha256 if each.image else ""
            states[key] = self._states.get(key) or self._made(each)
        self._states = states
        found = [states[each.image.sha256 if each.image else ""] for each in prompts]
        return stacked(found, self._generator.device)

    def _made(self, prompt: PromptRecord) -> Condition:
        if prompt.image is None:
            raise BadConfigError(
                f"the generator {self._generator.source!r} needs a start image, and the prompt "
                f"{prompt.id!r} has none"
            )
        size = Size(0, self._config.height, self._config.width)
        image = size.fitted(start_image(prompt.image, self._media_root)[None])
        condition = self._generator.encode_start(image, self._config.num_frames)
        return {name: each[0] for name, each in (condition or {}).items()}


@torch.no_grad()
def denoise(
    generator: Generator,
    text: TextStates,
    tasks: Sequence[Task],
    config: GenerationConfig,
    guide: Guide | None = None,
    starts: StartStates | None = None,
) -> torch.Tensor:
    """uint8 frames [len(tasks), T, H, W, 3]; `starts` where the generator needs start images.

    A short last batch is filled up with copies: one batch size means one path through the kernels,
    so what else is in the batch cannot change a clip.
    """
    filled = [*tasks, *[tasks[-1]] * (config.batch - len(tasks))]
    condition = _condition(generator, filled, starts)
    latents = denoised(generator, text, filled, config, guide=guide, condition=condition)
    return generator.decode(latents)[: len(tasks)]


def _condition(
    generator: Generator, tasks: Sequence[Task], starts: StartStates | None
) -> Condition | None:
    if starts is None and generator.needs_image:
        raise BadConfigError(f"the generator {generator.source!r} needs start images, got none")
    return None if starts is None else starts.of([each.prompt for each in tasks])


@torch.no_grad()
def denoised(
    generator: Generator,
    text: TextStates,
    tasks: Sequence[Task],
    config: GenerationConfig,
    *,
    guide: Guide | None = None,
    condition: Condition | None = None,
) -> torch.Tensor:  # [B, C, t, h, w]
    """The latents of clips. Guidance by text first, then the reward's shift."""
    shape = generator.latent_shape(config.num_frames, config.height, config.width)
    device, count = generator.device, len(tasks)
    chances = [clip_chance(each.prompt.text, each.seed) for each in tasks]
    x = torch.stack([torch.randn(shape, generator=chance) for chance in chances]).to(device)
    prompt = text.of([each.prompt.text for each in tasks])
    negative = text.negative.expand(count, -1, -1)
    path = generator.path(config.steps, config.shift, chances)
    for step, now in enumerate(path.times):
        t = now.to(device).expand(count)
        if config.guided:
            both = _both_ways(generator, x, t, prompt, negative, condition)
            prediction = both[1] + config.scale_at(now.item(), generator.boundary) * (
                both[0] - both[1]
            )
        else:
            prediction = generator.velocity(x, t, prompt, condition)
        if guide is not None:
            prediction = guide.applied(prediction, x, t.float(), prompt)
        x = path.moved(x, prediction, step)
    return generator.finished(x, condition)


def _both_ways(
    generator: Generator,
    x: torch.Tensor,
    t: torch.Tensor,
    prompt: torch.Tensor,
    negative: torch.Tensor,
    condition: Condition | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The predictions with the prompt and with the negative one."""
    if not generator.guides_together:
        with_prompt = generator.velocity(x, t, prompt, condition)
        return with_prompt, generator.velocity(x, t, negative, condition)
    twice, text = torch.cat([x, x]), torch.cat([negative, prompt])
    found = generator.velocity(twice, torch.cat([t, t]), text, repeated(condition, 2))
    without, with_prompt = found.chunk(2)
    return with_prompt, without
