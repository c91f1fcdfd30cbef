"""The generation run: prompts -> clips. One that was interrupted goes on with what is missing."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

import torch

from formats.chunks import chunk_of
from formats.files import read_json, sha256_of, write_json
from formats.halving import smaller
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, PromptRecord, VideoRef
from formats.supervised import BadConfigError, Supervised
from models_align.adapters import load_adapter
from models_align.chance import seed_of
from models_align.config import GenerationConfig, GuidanceSettings
from models_align.denoising import StartStates, Task, TextStates, denoise
from models_align.generators.base import Generator, NativeSize
from models_align.generators.families import load_generator
from models_align.generators.refusals import refuse_long_prompts
from models_align.guidance import Guide
from models_align.images import refuse_changed_image
from models_align.latent_reward.scoring import LatentRewardModel
from models_align.motion import motion_amount
from models_align.video import write_clip

FOLDER: Final = "generations"
# Equal bytes get equal ids, whoever makes them: the id of a clip is derived from its sha256.
CLIP_NAMESPACE: Final = uuid.UUID("5f3a1f0e-6d0b-5a63-9d3c-8f2c41f1b7d1")
DONE: Final = "clip/1"


def sample(run: Supervised) -> Outcome:
    """The body of `python -m models_align sample RUN_DIR`."""
    config = GenerationConfig.from_json(run.dir.config())
    torch.set_num_threads(config.threads)
    generator, config, prompts = prepared(run, config)
    clips = Clips.of(run, generator, config, prompts)
    guide = _guide(run, generator, config)
    folder = run.dir.outputs / FOLDER
    made_before = clips.done_in(folder)
    records = clips.made_in(folder, config, guide)
    file = folder / "generations.jsonl"
    sha256 = GenerationRecord.write(file, records)
    meta = {"clips": len(records), "generator": config.generator, "seed": config.seed}
    relative = file.relative_to(run.dir.root).as_posix()
    made_now = len(records) - made_before
    return Outcome(
        ExitCode.DONE,
        outputs=(Output(OutputKind.GENERATIONS, relative, sha256, meta),),
        summary={"clips": len(records), "prompts": len(prompts), "made_now": made_now},
    )


def prepared(
    run: Supervised, config: GenerationConfig
) -> tuple[Generator, GenerationConfig, list[PromptRecord]]:
    """The generator with its adapter, the config with its sizes, and prompts it can take."""
    prompts = PromptRecord.read(run.dir.input("prompts"))
    generator = load_generator(run.dir.input("generator"), dtype=config.precision)
    config = _within_memory(run, sized(config, generator.native_size))
    _refuse_what_cannot_be(generator, prompts, config)
    if generator.needs_image:
        _refuse_images_that_changed(prompts, run.dir.media_root())
    if run.dir.has_input("adapter"):
        load_adapter(generator, run.dir.input("adapter"), scale=config.adapter_scale)
    return generator, config, prompts


def _within_memory(run: Supervised, config: GenerationConfig) -> GenerationConfig:
    """Fewer clips at once, after an attempt that ran out of memory."""
    batch = smaller(config.batch, run.dir.split())
    run.tell_split("batch", config.batch, batch)
    return replace(config, batch=batch)


@dataclass(slots=True)
class Clips:
    """Makes the clips of tasks into folders, one after the other; what is there is not made again.

    `total` and `made` count the clips of all folders, for the progress of the run.
    """

    run: Supervised
    generator: Generator
    tasks: list[Task]
    text: TextStates
    starts: StartStates | None
    total: int
    made: int = 0
    pace: float = 0.0  # clips per second of the last batches
    told: float = field(default_factory=time.monotonic)

    @classmethod
    def of(
        cls,
        run: Supervised,
        generator: Generator,
        config: GenerationConfig,
        prompts: Sequence[PromptRecord],
        *,
        folders: int = 1,
    ) -> Self:
        seeds = range(config.seed, config.seed + config.clips_per_prompt)
        tasks = [Task(prompt, seed) for prompt in prompts for seed in seeds]
        if config.chunk is not None:
            tasks = [each for each in tasks if _chunk_of(each, config.chunks) == config.chunk]
        images = generator.needs_image
        starts = StartStates(generator, run.dir.media_root(), config) if images else None
        text = TextStates(generator, config.negative_prompt)
        return cls(run, generator, tasks, text, starts, folders * len(tasks))

    def done_in(self, folder: Path) -> int:
        return sum(_done_file(folder, task).exists() for task in self.tasks)

    def made_in(
        self, folder: Path, config: GenerationConfig, guide: Guide | None
    ) -> list[GenerationRecord]:
        """The records of all tasks, with paths relative to this folder."""
        (folder / "clips").mkdir(parents=True, exist_ok=True)
        todo = [task for task in self.tasks if not _done_file(folder, task).exists()]
        self.made += len(self.tasks) - len(todo)
        for start in range(0, len(todo), config.batch):
            self.run.check()
            batch = todo[start : start + config.batch]
            clips = denoise(self.generator, self.text, batch, config, guide, self.starts)
            for task, frames in zip(batch, clips, strict=True):
                _keep(folder, task, frames, config)
            self.made += len(batch)
            self._tell(len(batch))
        return [_record(folder, task, config) for task in self.tasks]

    def _tell(self, clips: int) -> None:
        now = time.monotonic()
        latest = clips / max(now - self.told, 1e-6)
        self.pace = latest if not self.pace else 0.8 * self.pace + 0.2 * latest
        self.told = now
        figures = {"clips": float(self.made), "clips_per_second": self.pace}
        self.run.dir.log_metrics(self.made, self.total, figures, stage="sampling")


def _chunk_of(task: Task, chunks: int) -> int:
    return chunk_of(f"{task.prompt.id}/{task.seed}", task.prompt.text, chunks)


def sized(config: GenerationConfig, native: NativeSize) -> GenerationConfig:
    """With what the generator was trained on, where the config says 0."""
    names = ("num_frames", "height", "width", "fps")
    return replace(
        config, **{name: getattr(config, name) or getattr(native, name) for name in names}
    )


def _refuse_what_cannot_be(
    generator: Generator, prompts: Sequence[PromptRecord], config: GenerationConfig
) -> None:
    if not prompts:
        raise BadConfigError("there is no prompt to sample from")
    refuse_long_prompts(generator, [config.negative_prompt, *(each.text for each in prompts)])
    generator.latent_shape(config.num_frames, config.height, config.width)
    without = next((each for each in prompts if each.image is None), None)
    if generator.needs_image and without is not None:
        raise BadConfigError(
            f"the generator {generator.source!r} needs a start image, and the prompt "
            f"{without.id!r} has none"
        )


def _refuse_images_that_changed(prompts: Sequence[PromptRecord], media_root: Path) -> None:
    for each in prompts:
        if each.image is not None:
            refuse_changed_image(each.image, media_root)


def _guide(run: Supervised, generator: Generator, config: GenerationConfig) -> Guide | None:
    """What Flow-NRG follows, if the run has a latent reward model."""
    if not run.dir.has_input("latent_reward_model"):
        if config.reward_guidance.weight:
            raise BadConfigError("reward_guidance needs an input latent_reward_model, and has none")
        return None
    model = LatentRewardModel.load(run.dir.input("latent_reward_model"))
    model.refuse_other_generator(generator)
    return guide_of(model, config.reward_guidance, generator, seed=config.seed)


def guide_of(
    model: LatentRewardModel, settings: GuidanceSettings, generator: Generator, *, seed: int
) -> Guide:
    """`seed`: of the weights of a reward that has learned nothing."""
    draw = settings.untrained
    control = model.untrained(seed_of(seed, "untrained", draw)) if draw else None
    return Guide.of(model, settings, generator.process, control=control)


def _done_file(folder: Path, task: Task) -> Path:
    return folder / "clips" / f"{task.name}.json"


def _keep(folder: Path, task: Task, frames: torch.Tensor, config: GenerationConfig) -> None:
    """The clip first, then the small file that says it is whole."""
    clip = folder / "clips" / f"{task.name}.mp4"
    temporary = clip.with_suffix(".tmp")
    write_clip(temporary, frames.numpy(), config.fps)
    temporary.replace(clip)
    facts = {"sha256": sha256_of(clip), "motion": round(motion_amount(frames), 4)}
    write_json(_done_file(folder, task), DONE, facts)


def _record(folder: Path, task: Task, config: GenerationConfig) -> GenerationRecord:
    facts = read_json(_done_file(folder, task), DONE)
    sha256 = facts["sha256"]
    video = VideoRef(
        id=str(uuid.uuid5(CLIP_NAMESPACE, f"{task.prompt.id}/{task.seed}/{sha256}")),
        path=f"clips/{task.name}.mp4",
        sha256=sha256,
        fps=float(config.fps),
        num_frames=config.num_frames,
        generator=config.generator,
        seed=task.seed,
    )
    prompt = task.prompt
    # A clip that was begun before motion was measured has none.
    measures = {"motion": facts["motion"]} if "motion" in facts else {}
    return GenerationRecord(
        prompt.id, prompt.text, prompt.split, video, image=prompt.image, measures=measures
    )
