"""Pretraining of the tiny vision-language base, as a real one comes pretrained.

From random weights a reward model of this size learns nothing about look and text (DESIGN 6). So
the base first learns to see: it writes captions of procedural clips, which name what is shown and
how it looks and moves in coarse words, and it answers questions: how a clip looks, how it moves,
whether a text fits it. It never meets a vote, a reward or a held-out prompt. What is asked is the
curriculum of its world (`demo.curricula`).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from demo.curricula import CURRICULA, Curriculum
from demo.lessons import ClipPool, Lessons
from demo.muon import Muon
from demo.tiny_tokenizer import tiny_tokenizer
from demo.tiny_vlm import tiny_vlm
from formats.checkpoints import commit_checkpoint, commit_folder, newest_verified
from formats.dimensions import BUILT_IN
from formats.files import read_json, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import BadConfigError, NonFiniteError, Supervised
from models_rm.networks.attention import use_for_vision
from models_rm.networks.prompts import RatingTemplate

MODEL: Final = "Qwen2-VL"
RIGHT: Final = ("caption", "appearance", "matching")
LOSSES: Final = (*RIGHT, "seen_words", "read_words", "word_fits", "defects")


@dataclass(frozen=True, slots=True)
class PretrainVlmConfig:
    """Settings of a run of kind `pretrain` with a base of `CURRICULA`."""

    base: str = "vlm"
    steps: int = 1200
    clips_per_step: int = 48
    learning_rate: float = 2e-3  # AdamW: embeddings, norms, heads
    muon_learning_rate: float = 2e-2  # Muon: matrices
    warmup_steps: int = 50
    pool: int = 6000  # different clips
    through_vae: float = 0.35  # share of the pool that went through the generator's autoencoder
    appearance: float = 1.0  # weights beside the captions: how it looks and moves;
    matching: float = 1.0  # whether a text fits;
    words: float = 5.0  # the words of the caption all at once
    grounding: float = 2.0  # which word of a text does not fit
    defects: float = 2.0  # how strong each defect of look and motion is
    seed: int = 0
    threads: int = 1
    log_every: int = 20
    save_every: int = 200
    exam_clips: int = 256  # fresh ones, at the end
    held_out: tuple[str, ...] = ()  # prompts whose captions are never shown

    def __post_init__(self) -> None:
        whole = (
            "steps",
            "clips_per_step",
            "pool",
            "threads",
            "log_every",
            "save_every",
            "exam_clips",
        )
        for name in whole:
            if getattr(self, name) < 1:
                raise BadConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.base not in CURRICULA:
            raise BadConfigError(f"base must be one of {', '.join(CURRICULA)}, got {self.base!r}")
        if not 0 <= self.through_vae <= 1:
            raise BadConfigError(f"through_vae must lie in 0..1, got {self.through_vae}")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        known = {each.name for each in fields(cls)}
        for key in values:
            if key not in known:
                raise BadConfigError(f"unknown key {key!r}; known keys: {', '.join(sorted(known))}")
        return cls(**{**values, "held_out": tuple(values.get("held_out", ()))})


def pretrain(run: Supervised) -> Outcome:
    """The body of `python -m demo pretrain RUN_DIR` for a vision-language base."""
    config = PretrainVlmConfig.from_json(run.dir.config())
    torch.set_num_threads(config.threads)
    curriculum = CURRICULA[config.base]
    tokenizer = demo_tokenizer(config.base)
    pool = ClipPool.drawn(_clips(config), config.pool, curriculum, _progress(run, config))
    lessons = Lessons(tokenizer, pool, curriculum)
    model = tiny_vlm("qwen2_vl", tokenizer, seed=config.seed)
    pupil = Pupil(model, len(lessons.words), len(curriculum.defects)).train()
    school = School(pupil, lessons, config)
    start = _resume(run, school)

    def save(step: int) -> None:
        commit_checkpoint(
            run.dir.checkpoints,
            step,
            run.fence,
            lambda folder: _fill(folder, school, step),
            run.dir.provenance(),
        )

    for step in range(start, config.steps):
        run.check(lambda done=step: save(done))  # type: ignore[misc]
        report = school.step(step)
        if (step + 1) % config.log_every == 0 or step + 1 == config.steps:
            run.dir.log_metrics(step + 1, config.steps, report, stage="pretraining")
        if (step + 1) % config.save_every == 0:
            save(step + 1)
    return _leave(run, school)


class Pupil(nn.Module):
    """The base and heads that are thrown away.

    Two say the words of the caption all at once: one from what the vision tower sees, as CLIP and
    image taggers learn, the other from the first token behind the clip. Without them the base needs
    thousands of steps until its text looks at the clip at all. The third says of each word of a
    text whether the clip shows it, as phrase grounding does: one yes or no for a whole text leaves
    open which word was meant. The last grades each defect where the base is about to say how a clip
    looks or moves: a word names only the worst one, and motion is then seen late.
    """

    def __init__(self, model: Any, words: int, defects: int):
        super().__init__()
        width = model.config.text_config.hidden_size
        use_for_vision(model.model.visual)
        self.model = model
        self.seen_words = nn.Linear(width, words)
        self.read_words = nn.Linear(width, words)
        self.word_fits = nn.Linear(width, 1)
        self.defects = nn.Linear(width, defects)


class School:
    """A pupil, its lessons, and the two optimisers: Muon for matrices, AdamW for the rest."""

    def __init__(self, pupil: Pupil, lessons: Lessons, config: PretrainVlmConfig):
        self.pupil = pupil
        self.lessons = lessons
        self.config = config
        inside = {
            name: each
            for name, each in pupil.model.named_parameters()
            if each.ndim == 2 and "embed" not in name and "lm_head" not in name
        }
        matrices = {id(each) for each in inside.values()}
        rest = [each for each in pupil.parameters() if id(each) not in matrices]
        self.optimizers: tuple[torch.optim.Optimizer, ...] = (
            Muon(inside.values(), lr=config.muon_learning_rate),
            torch.optim.AdamW(rest, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.01),
        )
        self._rates = (config.muon_learning_rate, config.learning_rate)

    def step(self, step: int) -> dict[str, float]:
        config = self.config
        lesson = self.lessons.lesson(
            np.random.default_rng([config.seed, 1, step]), config.clips_per_step
        )
        losses = self.lessons.losses(self.pupil, lesson)
        total = losses["caption"] + config.appearance * losses["appearance"]
        total = total + config.matching * losses["matching"]
        total = total + config.words * (losses["seen_words"] + losses["read_words"])
        total = total + config.grounding * losses["word_fits"]
        total = total + config.defects * losses["defects"]
        self.pupil.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.pupil.parameters(), 1.0)
        if not bool(torch.isfinite(norm)):
            raise NonFiniteError(f"the gradient of step {step + 1} is not a finite number")
        factor = rate_factor(step, config)
        for optimizer, rate in zip(self.optimizers, self._rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.step()
        report = {f"loss/{name}": losses[name].item() for name in LOSSES}
        return report | {f"accuracy/{name}": losses[f"{name}_right"].item() for name in RIGHT}

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that changes, by name, for a checkpoint."""
        found = {f"pupil.{name}": each.detach() for name, each in self.pupil.named_parameters()}
        for index, name, moments in self._moments():
            found |= {f"optimizer.{index}.{name}.{key}": each for key, each in moments.items()}
        return found

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        names = {id(each): name for name, each in self.pupil.named_parameters()}
        with torch.no_grad():
            for name, parameter in self.pupil.named_parameters():
                parameter.copy_(state[f"pupil.{name}"])
        for index, optimizer in enumerate(self.optimizers):
            for parameter in optimizer.param_groups[0]["params"]:
                prefix = f"optimizer.{index}.{names[id(parameter)]}."
                saved = {
                    k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)
                }
                if saved:
                    optimizer.state[parameter] = saved

    def _moments(self) -> Iterator[tuple[int, str, dict[str, torch.Tensor]]]:
        names = {id(each): name for name, each in self.pupil.named_parameters()}
        for index, optimizer in enumerate(self.optimizers):
            for parameter, moments in optimizer.state.items():
                yield index, names[id(parameter)], moments


def rate_factor(step: int, config: PretrainVlmConfig) -> float:
    """Linear warm-up, then a cosine down to zero."""
    rise = min(1.0, (step + 1) / config.warmup_steps)
    return rise * (0.5 + 0.5 * math.cos(math.pi * step / config.steps))


def demo_tokenizer(base: str = "vlm") -> Any:
    """The tokenizer of a tiny base: words of its world, of the built-in dimensions, any bytes."""
    captions = list(_captions(400, CURRICULA[base], np.random.default_rng(0)))
    texts = [" yes", " no", "\nuser\n", "\nassistant\n", "Rate the clip: Does it fit?"]
    for dimensions in BUILT_IN.values():
        texts += [RatingTemplate.of(dimensions, name).text("") for name in ("guideline", "brief")]
    return tiny_tokenizer([*captions, *texts * 20])


def _captions(count: int, curriculum: Curriculum, rng: np.random.Generator) -> Iterator[str]:
    """Captions as the training clips of a world have them, without drawing the clips."""
    for _ in range(count):
        recipe = curriculum.random_recipe(rng)
        yield curriculum.described(recipe.shown, curriculum.words(recipe, rng))


def _clips(config: PretrainVlmConfig) -> Iterator[Any]:
    """The clips of the run: some as drawn, some through the generator's autoencoder."""
    blurred = round(config.pool * config.through_vae)
    exclude = frozenset(config.held_out)
    clips_of = CURRICULA[config.base].clips
    sharp = clips_of(config.pool - blurred, 1000 + 2 * config.seed, described=True, exclude=exclude)
    yield from sharp
    yield from clips_of(
        blurred, 1001 + 2 * config.seed, described=True, through_vae=True, exclude=exclude
    )


def _progress(run: Supervised, config: PretrainVlmConfig) -> Callable[[int], None]:
    def report(drawn: int) -> None:
        run.check()
        if drawn % 250 == 0:
            stage = f"drawing clips: {drawn} of {config.pool}"
            run.dir.log_metrics(0, config.steps, stage=stage)

    return report


def _fill(folder: Path, school: School, step: int) -> None:
    state = {name: each.contiguous() for name, each in school.state().items()}
    save_file(state, folder / "state.safetensors")
    write_json(folder / "state.json", "pretrain-vlm/1", {"step": step})


def _resume(run: Supervised, school: School) -> int:
    """Load the newest good checkpoint; give the step to go on with."""
    newest = newest_verified(run.dir.checkpoints, lambda text: print(text, flush=True))
    if newest is None:
        return 0
    school.load_state(load_file(newest.path / "state.safetensors"))
    return int(read_json(newest.path / "state.json", "pretrain-vlm/1")["step"])


def _leave(run: Supervised, school: School) -> Outcome:
    summary = examine(school)
    model, tokenizer = school.pupil.model, school.lessons.tokenizer

    def fill(folder: Path) -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    size = sum(parameter.numel() for parameter in model.parameters())
    meta = {
        "role": "vlm",
        "model": MODEL,
        "parameters": size,
        "config": asdict(school.config),
        **summary,
    }
    sha256 = commit_folder(run.dir.outputs / "vlm", fill, meta)
    output = Output(OutputKind.BASE_MODEL, "outputs/vlm", sha256, meta)
    return Outcome(ExitCode.DONE, "done", "the base is trained", (output,), summary)


@torch.no_grad()
def examine(school: School) -> dict[str, float]:
    """Captions and answers on clips that were not in the pool."""
    config, count = school.config, school.config.exam_clips
    curriculum = school.lessons.curriculum
    fresh = curriculum.clips(
        count, 999_000 + config.seed, described=True, exclude=frozenset(config.held_out)
    )
    pool = ClipPool.drawn(fresh, count, curriculum)
    exam = Lessons(school.lessons.tokenizer, pool, curriculum, school.lessons.words)
    school.pupil.eval()
    losses = exam.losses(school.pupil, exam.lesson(np.random.default_rng(config.seed), count))
    school.pupil.train()
    return {f"exam_{name}": round(value.item(), 4) for name, value in losses.items()}
