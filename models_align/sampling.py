"""Prompts -> clips: our own denoising loop over the transformer and scheduler of a generator.

Clip k of a prompt depends on the prompt and its seed alone: its noise comes from a random generator
of its own, so a base and its aligned version start from the same noise, and a run that was
interrupted goes on with what is missing.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from formats.files import read_json, sha256_of, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, PromptRecord, VideoRef
from formats.supervised import BadConfigError, Supervised
from models_align.checkpoints import load_adapter
from models_align.config import GenerationConfig
from models_align.generators.base import Generator
from models_align.generators.wan import load_wan
from models_align.guidance import Guide
from models_align.latent_reward.scoring import LatentRewardModel
from models_align.video import write_clip

FOLDER: Final = "generations"
# Equal bytes get equal ids, whoever makes them: the id of a clip is derived from its sha256.
CLIP_NAMESPACE: Final = uuid.UUID("5f3a1f0e-6d0b-5a63-9d3c-8f2c41f1b7d1")
DONE: Final = "clip/1"


@dataclass(frozen=True, slots=True)
class Task:
    """One clip to make."""

    prompt: PromptRecord
    seed: int

    @property
    def name(self) -> str:
        return hashlib.sha256(
            f"{self.prompt.id}\0{self.prompt.text}\0{self.seed}".encode()
        ).hexdigest()[:24]


def sample(run: Supervised) -> Outcome:
    """The body of `python -m models_align sample RUN_DIR`."""
    config = GenerationConfig.from_json(run.dir.config())
    torch.set_num_threads(config.threads)
    prompts = PromptRecord.read(run.dir.input("prompts"))
    source = run.dir.input("generator")
    generator = load_wan(source)
    _refuse_what_cannot_be(generator, prompts)
    adapter = run.dir.input("adapter") if run.dir.has_input("adapter") else None
    if adapter is not None:
        load_adapter(generator, adapter, scale=config.adapter_scale)
    guide = _guide(run, generator, config)
    tasks = [
        Task(prompt, config.seed + k) for prompt in prompts for k in range(config.clips_per_prompt)
    ]
    folder = run.dir.outputs / FOLDER
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    todo = [task for task in tasks if not _done_file(folder, task).exists()]
    text = TextStates(generator, config.negative_prompt)
    made = len(tasks) - len(todo)
    for start in range(0, len(todo), config.batch):
        run.check()
        batch = todo[start : start + config.batch]
        clips = denoise(generator, text, batch, config, guide)
        for task, frames in zip(batch, clips, strict=True):
            _keep(folder, task, frames, config)
        made += len(batch)
        run.dir.log_metrics(made, len(tasks), {"clips": made}, stage="sampling")
    records = [_record(folder, task, config) for task in tasks]
    file = folder / "generations.jsonl"
    sha256 = GenerationRecord.write(file, records)
    meta = {"clips": len(records), "generator": config.generator, "seed": config.seed}
    relative = file.relative_to(run.dir.root).as_posix()
    return Outcome(
        ExitCode.DONE,
        outputs=(Output(OutputKind.GENERATIONS, relative, sha256, meta),),
        summary={"clips": len(records), "prompts": len(prompts), "made_now": len(todo)},
    )


def _refuse_what_cannot_be(generator: Generator, prompts: Sequence[PromptRecord]) -> None:
    if not prompts:
        raise BadConfigError("there is no prompt to sample from")
    if generator.needs_image:
        raise BadConfigError(
            f"the generator {generator.source!r} needs a start image, and prompts carry none"
        )


def _guide(run: Supervised, generator: Generator, config: GenerationConfig) -> Guide | None:
    """What Flow-NRG follows, if the run has a latent reward model."""
    if not run.dir.has_input("latent_reward_model"):
        if config.reward_guidance.weight:
            raise BadConfigError("reward_guidance needs an input latent_reward_model, and has none")
        return None
    model = LatentRewardModel.load(run.dir.input("latent_reward_model"))
    model.refuse_other_generator(generator)
    settings = config.reward_guidance
    control = model.untrained(config.seed) if settings.untrained else None
    return Guide.of(model, settings, control=control)


def clip_noise(prompt: str, seed: int, shape: Sequence[int]) -> torch.Tensor:
    """Standard normal noise that depends on the prompt, the seed and the shape alone."""
    digest = hashlib.sha256(f"{prompt}\0{seed}".encode()).digest()
    chance = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.randn(tuple(shape), generator=chance)


class TextStates:
    """Text embeddings, each prompt encoded once, in memory: a prompt is a few megabytes."""

    def __init__(self, generator: Generator, negative_prompt: str):
        self._generator = generator
        self._states: dict[str, torch.Tensor] = {}
        self.negative = self.of([negative_prompt])

    def of(self, prompts: Sequence[str]) -> torch.Tensor:  # [B, L, D]
        for each in prompts:
            if each not in self._states:
                # One by one: in a batch, the last bits would depend on its size.
                self._states[each] = self._generator.encode_prompts([each])[0]
        return torch.stack([self._states[each] for each in prompts])


@torch.no_grad()
def denoise(
    generator: Generator,
    text: TextStates,
    tasks: Sequence[Task],
    config: GenerationConfig,
    guide: Guide | None = None,
) -> torch.Tensor:
    """uint8 frames [len(tasks), T, H, W, 3]. Guidance by text first, then the reward's shift.

    A short last batch is filled up with copies: one batch size means one path through the kernels,
    so what else is in the batch cannot change a clip.
    """
    shape = generator.latent_shape(config.num_frames, config.height, config.width)
    filled = [*tasks, *[tasks[-1]] * (config.batch - len(tasks))]
    device = generator.device
    x = torch.stack([clip_noise(each.prompt.text, each.seed, shape) for each in filled]).to(device)
    prompt = text.of([each.prompt.text for each in filled])
    negative = text.negative.expand(len(filled), -1, -1)
    scheduler = generator.scheduler(config.shift)
    scheduler.set_timesteps(config.steps, device=device)
    for step, t in enumerate(scheduler.timesteps):
        time = scheduler.sigmas[step].to(device).float().expand(len(filled))
        velocity = generator.velocity(x, time, prompt)
        if config.guided:
            without = generator.velocity(x, time, negative)
            velocity = without + config.guidance_scale * (velocity - without)
        if guide is not None:
            velocity = guide.applied(velocity, x, time, prompt)
        (x,) = scheduler.step(velocity, t, x, return_dict=False)
    return generator.decode(x)[: len(tasks)]


def _done_file(folder: Path, task: Task) -> Path:
    return folder / "clips" / f"{task.name}.json"


def _keep(folder: Path, task: Task, frames: torch.Tensor, config: GenerationConfig) -> None:
    """The clip first, then the small file that says it is whole."""
    clip = folder / "clips" / f"{task.name}.mp4"
    temporary = clip.with_suffix(".tmp")
    write_clip(temporary, frames.numpy(), config.fps)
    temporary.replace(clip)
    write_json(_done_file(folder, task), DONE, {"sha256": sha256_of(clip)})


def _record(folder: Path, task: Task, config: GenerationConfig) -> GenerationRecord:
    sha256 = read_json(_done_file(folder, task), DONE)["sha256"]
    video = VideoRef(
        id=str(uuid.uuid5(CLIP_NAMESPACE, f"{task.prompt.id}/{task.seed}/{sha256}")),
        path=f"clips/{task.name}.mp4",
        sha256=sha256,
        fps=float(config.fps),
        num_frames=config.num_frames,
        generator=config.generator,
        seed=task.seed,
    )
    return GenerationRecord(task.prompt.id, task.prompt.text, task.prompt.split, video)
