"""The generation run: prompts -> clips. One that was interrupted goes on with what is missing."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch

from formats.files import read_json, sha256_of, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, PromptRecord, VideoRef
from formats.supervised import BadConfigError, Supervised
from models_align.adapters import load_adapter
from models_align.config import GenerationConfig
from models_align.denoising import StartStates, Task, TextStates, denoise
from models_align.generators.base import Generator, NativeSize
from models_align.generators.families import load_generator
from models_align.generators.refusals import refuse_long_prompts
from models_align.guidance import Guide
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
    prompts = PromptRecord.read(run.dir.input("prompts"))
    generator = load_generator(run.dir.input("generator"), dtype=config.precision)
    config = sized(config, generator.native_size)
    _refuse_what_cannot_be(generator, prompts, config)
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
    starts = StartStates(generator, run.dir.media_root(), config) if generator.needs_image else None
    made = len(tasks) - len(todo)
    for start in range(0, len(todo), config.batch):
        run.check()
        batch = todo[start : start + config.batch]
        clips = denoise(generator, text, batch, config, guide, starts)
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
