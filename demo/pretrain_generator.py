"""Pretraining of tiny video generators, as real ones come pretrained: flow matching on clips.

The clips show what their captions say and are of mixed quality, and no word of a caption speaks of
quality. So the base follows prompts and makes good and bad clips alike: what alignment is for.
The generator of the anime world also sees the start image, which is what a clip was to begin with.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from demo import world
from demo.anime import world as anime_world
from demo.muon import Muon
from demo.tiny_generator import TinySize, build_pipeline
from formats.checkpoints import commit_checkpoint, commit_folder, newest_verified
from formats.files import read_json, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import BadConfigError, NonFiniteError, Supervised
from models_align.config import TimestepSettings
from models_align.flow import draw_timesteps, interpolate, velocity_error, velocity_target
from models_align.generators.wan import WanGenerator

STATE: Final = "pretrain-generator-state/1"
CARD: Final = "generator/1"
BETAS: Final = (0.9, 0.98)
ENCODE_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class PretrainGeneratorConfig:
    """Settings of a run of kind `pretrain` with a base of `WORLDS`."""

    base: str = "generator"
    steps: int = 1200
    clips_per_step: int = 32
    pool: int = 6000  # different clips
    heads: int = 4
    layers: int = 4
    ffn: int = 256
    learning_rate: float = 2e-3  # of AdamW: embeddings, norms, the ends of the network
    muon_learning_rate: float = 0.02  # of Muon: the matrices of the layers
    warmup_steps: int = 50
    caption_dropout: float = 0.1  # what guidance by the empty prompt needs
    shift: float = 2.5  # of the timesteps: where things are is decided in the noise
    seed: int = 0
    threads: int = 1
    log_every: int = 20
    save_every: int = 200
    held_out: tuple[str, ...] = ()  # prompts whose clips are never shown

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.type is int and each.name != "seed" and not _whole(value):
                raise BadConfigError(f"{each.name} must be a whole number above 0, got {value!r}")
        for name in ("learning_rate", "muon_learning_rate", "shift"):
            if not getattr(self, name) > 0:
                raise BadConfigError(f"{name} must be above 0, got {getattr(self, name)!r}")
        if self.base not in WORLDS:
            raise BadConfigError(f"base must be one of {', '.join(WORLDS)}, got {self.base!r}")
        if not 0 <= self.caption_dropout < 1:
            raise BadConfigError(f"caption_dropout must be in [0, 1), got {self.caption_dropout!r}")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        known = {each.name for each in fields(cls)}
        for key in values:
            if key not in known:
                raise BadConfigError(f"unknown key {key!r}; known keys: {', '.join(sorted(known))}")
        return cls(**{**values, "held_out": tuple(values.get("held_out", ()))})


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


class Captioned(Protocol):
    """A clip of a world: what it shows, and the caption that says so."""

    @property
    def frames(self) -> NDArray[np.uint8]: ...  # [9, 64, 64, 3]
    @property
    def caption(self) -> str: ...


@dataclass(frozen=True, slots=True)
class World:
    """What a base is pretrained on. `start`: the start image of a clip [64, 64, 3], if there is
    one."""

    name: str  # of the base that it leaves
    clips: Callable[..., Iterator[Any]]
    start: Callable[[Any], NDArray[np.uint8]] | None = None


WORLDS: Final = {
    "generator": World("tiny-wan", world.training_clips),
    "anime_generator": World("tiny-wan-i2v", anime_world.training_clips, lambda clip: clip.start),
}


@dataclass(frozen=True, slots=True)
class Pool:
    """The clips as normalised latents, and the text embeddings of their captions."""

    latents: torch.Tensor  # [N, C, t, h, w]
    start: torch.Tensor | None  # [N, K, t, h, w], what the network sees of the start image
    caption: torch.Tensor  # [N], row in `text`
    text: torch.Tensor  # [captions + 1, L, D]; the last row is the empty prompt
    weight: torch.Tensor  # [1, C, 1, 1, 1], how much a channel counts in the loss; its mean is 1


def pretrain(run: Supervised) -> Outcome:
    """The body of `python -m demo pretrain RUN_DIR` for the base `generator`."""
    config = PretrainGeneratorConfig.from_json(run.dir.config())
    torch.set_num_threads(config.threads)
    generator, pool = prepared(run, config)
    transformer = generator.transformer.requires_grad_(requires_grad=True)
    optimizers = optimizers_of(transformer, config)
    step = 0
    found = newest_verified(run.dir.checkpoints, report=print)
    if found is not None:
        step = _load(found.path, transformer, optimizers)

    def save() -> None:
        commit_checkpoint(
            run.dir.checkpoints,
            step,
            run.fence,
            lambda folder: _save(folder, transformer, optimizers, step),
            run.dir.provenance(),
        )

    transformer.train()
    values: dict[str, float] = {}
    while step < config.steps:
        run.check(save)
        values = _learn(generator, pool, optimizers, config, step)
        step += 1
        if step % config.log_every == 0 or step == config.steps:
            run.dir.log_metrics(step, config.steps, values, stage="pretraining")
        if step % config.save_every == 0 and step < config.steps:
            save()
    return _finished(run, generator, config, values)


def _learn(
    generator: WanGenerator,
    pool: Pool,
    optimizers: Sequence[torch.optim.Optimizer],
    config: PretrainGeneratorConfig,
    step: int,
) -> dict[str, float]:
    """One step; a loss that is not finite ends the run before the weights change."""
    error = batch_error(generator, pool, config, step).mean()
    generator.transformer.zero_grad()
    error.backward()
    norm = torch.nn.utils.clip_grad_norm_(generator.transformer.parameters(), 1.0).item()
    loss = error.item()
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise NonFiniteError(f"step {step}: the loss is {loss}, the gradient norm {norm}")
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * pace(config, step)
        optimizer.step()
    return {"loss": loss, "grad_norm": norm}


def prepared(run: Supervised, config: PretrainGeneratorConfig) -> tuple[WanGenerator, Pool]:
    """Draw the clips, build the pipeline around them, and encode: the same for every resume."""
    drawn = _drawn(run, config)
    size = TinySize(heads=config.heads, layers=config.layers, ffn=config.ffn)
    pipeline = build_pipeline(
        size, drawn.captions, config.seed, start_image=drawn.starts is not None
    )
    mean = drawn.latents.mean((0, 2, 3, 4))
    std = drawn.latents.std((0, 2, 3, 4))
    pipeline.vae.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())
    generator = WanGenerator(pipeline, "the tiny generator")
    captions = drawn.captions
    known = sorted(set(captions))
    row = {caption: number for number, caption in enumerate(known)}
    pool = Pool(
        latents=(drawn.latents - mean.view(1, -1, 1, 1, 1)) / std.view(1, -1, 1, 1, 1),
        start=_seen_of_starts(generator, drawn),
        caption=torch.tensor([row[each] for each in captions]),
        text=generator.encode_prompts([*known, ""]),
        # Between equal weights in latents and equal weights in pixels, which would be std squared.
        weight=(std / std.mean()).view(1, -1, 1, 1, 1),
    )
    return generator, pool


@dataclass(frozen=True, slots=True)
class Drawn:
    """The clips of the pool as latents that are not normalised yet, captions, start images."""

    latents: torch.Tensor  # [N, C, t, h, w]
    captions: list[str]
    starts: torch.Tensor | None  # uint8 [N, H, W, 3]
    num_frames: int


def _drawn(run: Supervised, config: PretrainGeneratorConfig) -> Drawn:
    wanted = WORLDS[config.base]
    clips = wanted.clips(config.pool, config.seed, exclude=frozenset(config.held_out))
    vae = build_pipeline(TinySize(heads=1, layers=1, ffn=16), ["a"], config.seed).vae
    latents: list[torch.Tensor] = []
    starts: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    num_frames = 0
    while chunk := list(islice(clips, ENCODE_AT_ONCE)):
        run.check()
        latents.append(_latents(vae, chunk))
        captions += [each.caption for each in chunk]
        num_frames = len(chunk[0].frames)
        if wanted.start is not None:
            starts += [wanted.start(each) for each in chunk]
        stage = f"drawing: {len(captions)} of {config.pool} clips"
        run.dir.log_metrics(0, config.steps, {}, stage=stage)
    pictures = torch.from_numpy(np.stack(starts)) if starts else None
    return Drawn(torch.cat(latents), captions, pictures, num_frames)


def _seen_of_starts(generator: WanGenerator, drawn: Drawn) -> torch.Tensor | None:
    if drawn.starts is None:
        return None
    parts = []
    for chunk in drawn.starts.split(ENCODE_AT_ONCE):
        condition = generator.encode_start(chunk, drawn.num_frames)
        assert condition is not None  # the pipeline is one of image-to-video
        parts.append(condition["latents"])
    return torch.cat(parts)


@torch.no_grad()
def _latents(vae: Any, clips: Sequence[Captioned]) -> torch.Tensor:
    frames = torch.from_numpy(np.stack([each.frames for each in clips]))
    pixels = frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    mode: torch.Tensor = vae.encode(pixels).latent_dist.mode()
    return mode


def batch_error(
    generator: WanGenerator, pool: Pool, config: PretrainGeneratorConfig, step: int
) -> torch.Tensor:  # [B]
    """The flow-matching error of one batch; chance depends on seed and step alone."""
    chance = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    count = config.clips_per_step
    chosen = torch.randint(0, len(pool.latents), (count,), generator=chance)
    data = pool.latents[chosen]
    noise = torch.randn(data.shape, generator=chance)
    times = TimestepSettings("shifted", shift=config.shift)
    t = draw_timesteps(count, times, chance)
    dropped = torch.rand(count, generator=chance) < config.caption_dropout
    text = pool.text[torch.where(dropped, len(pool.text) - 1, pool.caption[chosen])]
    condition = None if pool.start is None else {"latents": pool.start[chosen]}
    predicted = generator.velocity(interpolate(data, noise, t), t, text, condition)
    root = pool.weight.sqrt()
    return velocity_error(root * predicted, root * velocity_target(data, noise))


def optimizers_of(
    transformer: torch.nn.Module, config: PretrainGeneratorConfig
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, which halves the steps; AdamW for everything else."""
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, weight in transformer.named_parameters():
        inside = weight.ndim == 2 and name.startswith("blocks.")
        (matrices if inside else others).append(weight)
    chosen = [
        torch.optim.AdamW(others, config.learning_rate, betas=BETAS, weight_decay=0.0),
        Muon(matrices, lr=config.muon_learning_rate, weight_decay=0.0),
    ]
    for optimizer in chosen:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return chosen


def pace(config: PretrainGeneratorConfig, step: int) -> float:
    """Up in a few steps, then down in a straight line: sampling needs settled weights."""
    rising = (step + 1) / config.warmup_steps
    falling = (config.steps - step) / config.steps
    return min(1.0, rising, falling)


def _finished(
    run: Supervised,
    generator: WanGenerator,
    config: PretrainGeneratorConfig,
    values: dict[str, float],
) -> Outcome:
    transformer = generator.transformer.eval()
    parameters = sum(each.numel() for each in transformer.parameters())

    def fill(folder: Path) -> None:
        generator.pipeline.save_pretrained(str(folder))
        write_json(folder / "card.json", CARD, {"config": asdict(config), **values})

    sha256 = commit_folder(run.dir.outputs / "base", fill)
    meta = {"role": "generator", "name": WORLDS[config.base].name, "parameters": parameters}
    return Outcome(
        ExitCode.DONE,
        outputs=(Output(OutputKind.BASE_MODEL, "outputs/base", sha256, meta),),
        summary={"steps": config.steps, **values, "parameters": parameters},
    )


def _save(
    folder: Path,
    transformer: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    step: int,
) -> None:
    weights = {name: each.contiguous() for name, each in transformer.state_dict().items()}
    save_file(weights, folder / "transformer.safetensors")
    for number, optimizer in enumerate(optimizers):
        save_file(dict(_moments(optimizer)), folder / f"optimizer-{number}.safetensors")
    write_json(folder / "state.json", STATE, {"done_steps": step})


def _moments(optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, torch.Tensor]]:
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            yield f"{index}.{name}", torch.as_tensor(value).contiguous()


def _load(
    folder: Path, transformer: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> int:
    transformer.load_state_dict(load_file(folder / "transformer.safetensors"))
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in load_file(folder / f"optimizer-{number}.safetensors").items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    return int(read_json(folder / "state.json", STATE)["done_steps"])
