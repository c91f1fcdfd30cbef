"""One look: the same held-out prompts and seeds as in every other look, made, measured, judged."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import torch

from formats.files import sha256_of
from formats.records import PairRecord, VideoRef
from formats.supervised import BadConfigError, Supervised
from models_align.config import AlignmentConfig, ConfigError, GenerationConfig
from models_align.denoising import StartStates, Task, TextStates, denoise
from models_align.generators.base import Generator
from models_align.motion import motion_amount
from models_align.video import read_clip, write_clip
from models_align.watching.judging import judges_of, scored
from models_align.watching.looks import FOLDER, Look, WatchedClip
from models_align.watching.settings import WatchSettings
from models_align.watching.spread import sketch, spread
from models_align.watching.wishes import watched_prompts
from models_rm.scoring import RewardModel


class Eye:
    """Samples the watched prompts. Texts are encoded and judges are loaded when it is made."""

    def __init__(
        self,
        generator: Generator,
        tasks: Sequence[Task],
        config: GenerationConfig,
        judges: dict[str, RewardModel],
        run: Supervised,
    ):
        self.generator = generator
        self.tasks = list(tasks)
        self.config = config
        self.judges = judges
        self.media_root = run.dir.media_root()
        self.folder = run.dir.outputs / FOLDER
        self._text = TextStates(generator, config.negative_prompt)
        self._text.of([each.prompt.text for each in tasks])
        needs = generator.needs_image
        self._starts = StartStates(generator, self.media_root, config) if needs else None

    @classmethod
    def of(
        cls, run: Supervised, generator: Generator, config: AlignmentConfig, *, judges: bool = True
    ) -> Self:
        """`judges`: load them too, where there are any."""
        settings = config.watch
        prompts = watched_prompts(run, settings)
        tasks = [
            Task(prompt, settings.seed + k)
            for prompt in prompts
            for k in range(settings.clips_per_prompt)
        ]
        clip = PairRecord.read(run.dir.input("pairs"))[0].chosen
        sampling = sampling_of(settings, clip, run.dir.media_root())
        generator.latent_shape(sampling.num_frames, sampling.height, sampling.width)
        return cls(generator, tasks, sampling, judges_of(run) if judges else {}, run)

    def look(self, step: int, check: Callable[[], None], *, keeps: bool = True) -> Look | None:
        """Make the clips of a step. `keeps`: whether this process writes and judges them."""
        (self.folder / "clips").mkdir(parents=True, exist_ok=True)
        clips: list[WatchedClip] = []
        sketches: dict[str, list[torch.Tensor]] = {}
        for task, frames in self._made(check):
            if keeps:
                clips.append(self._kept(step, task, frames))
                sketches.setdefault(task.prompt.id, []).append(sketch(frames))
        if not keeps:
            return None
        spreads = {key: spread(each) for key, each in sketches.items() if len(each) > 1}
        look = Look(step, tuple(self._judged(clips)), spreads)
        look.write(self.folder)
        return look

    def _made(self, check: Callable[[], None]) -> Iterator[tuple[Task, torch.Tensor]]:
        size = self.config.batch
        for start in range(0, len(self.tasks), size):
            check()
            batch = self.tasks[start : start + size]
            frames = denoise(self.generator, self._text, batch, self.config, None, self._starts)
            yield from zip(batch, frames, strict=True)

    def _kept(self, step: int, task: Task, frames: torch.Tensor) -> WatchedClip:
        prompt, name = task.prompt, f"{step:08d}-{task.name}"
        clip = self._file(name)
        temporary = clip.with_suffix(".tmp")
        write_clip(temporary, frames.numpy(), self.config.fps)
        temporary.replace(clip)
        return WatchedClip(
            name=name,
            prompt_id=prompt.id,
            prompt=prompt.text,
            split=prompt.split,
            seed=task.seed,
            sha256=sha256_of(clip),
            fps=float(self.config.fps),
            num_frames=self.config.num_frames,
            image=prompt.image,
            measures={"motion": motion_amount(frames)},
        )

    def _judged(self, clips: Sequence[WatchedClip]) -> list[WatchedClip]:
        rows = scored(
            self.judges,
            [each.prompt for each in clips],
            [self._file(each.name) for each in clips],
            [each.image for each in clips],
            self.media_root,
        )
        return [each.with_scores(row) for each, row in zip(clips, rows, strict=True)]

    def _file(self, name: str) -> Path:
        return self.folder / "clips" / f"{name}.mp4"


def sampling_of(settings: WatchSettings, clip: VideoRef, media_root: Path) -> GenerationConfig:
    """How clips are made; what the settings leave open is as in this clip of the pairs."""
    size = {name: getattr(settings, name) for name in ("num_frames", "height", "width", "fps")}
    if not all(size.values()):
        shape = read_clip(media_root / clip.path).shape
        found = (*shape[:3], max(1, round(clip.fps)))
        size = {name: own or of for (name, own), of in zip(size.items(), found, strict=True)}
    try:
        return GenerationConfig(
            steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            negative_prompt=settings.negative_prompt,
            shift=settings.shift,
            batch=settings.batch,
            **size,
        )
    except ConfigError as error:
        raise BadConfigError(f"watch: {error}") from error
