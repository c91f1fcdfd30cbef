"""Pretraining of the tiny vision-language base, as a real one comes pretrained.

From random weights a reward model of this size learns nothing about look and text (DESIGN 6). So
the base first learns to see: it writes captions of procedural clips, which name what is shown and
how it looks and moves in coarse words, and it answers questions: how a clip looks, how it moves,
whether a text fits it. It never meets a vote, a reward or a held-out prompt.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from demo.muon import Muon
from demo.recipes import (
    MOTION,
    VISUAL,
    Profile,
    Recipe,
    appearance_words,
    caption,
    defect_grades,
    random_facts,
    random_recipe,
)
from demo.tiny_tokenizer import tiny_tokenizer
from demo.tiny_vlm import tiny_vlm
from demo.world import FPS, Clip, mismatched, training_clips
from formats.checkpoints import commit_checkpoint, commit_folder, newest_verified
from formats.dimensions import BUILT_IN
from formats.files import read_json, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import BadConfigError, NonFiniteError, Supervised
from models_rm.attention import use_for_vision
from models_rm.collator import opening_of
from models_rm.families import QWEN2_VL
from models_rm.patches import patchify
from models_rm.prompts import RatingTemplate
from models_rm.video import FrameRule, clip_of_array

MODEL: Final = "Qwen2-VL"
IGNORE: Final = -100
RIGHT: Final = ("caption", "appearance", "matching")
LOSSES: Final = (*RIGHT, "seen_words", "read_words", "word_fits", "defects")
FAMILY: Final = QWEN2_VL


@dataclass(frozen=True, slots=True)
class PretrainVlmConfig:
    """Settings of a run of kind `pretrain` with base `vlm`."""

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
    """The body of `python -m demo pretrain RUN_DIR` for the base `vlm`."""
    config = PretrainVlmConfig.from_json(run.dir.config())
    torch.set_num_threads(config.threads)
    tokenizer = demo_tokenizer()
    pool = ClipPool.drawn(_clips(config), config.pool, FAMILY.side_factor, _progress(run, config))
    lessons = Lessons(tokenizer, pool)
    pupil = Pupil(tiny_vlm("qwen2_vl", tokenizer, seed=config.seed), len(lessons.words)).train()
    school = School(pupil, lessons, config)
    start = _resume(run, school)

    def save(step: int) -> None:
        commit_checkpoint(
            run.dir.checkpoints, step, run.fence, lambda folder: _fill(folder, school, step)
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

    def __init__(self, model: Any, words: int):
        super().__init__()
        width = model.config.text_config.hidden_size
        use_for_vision(model.model.visual)
        self.model = model
        self.seen_words = nn.Linear(width, words)
        self.read_words = nn.Linear(width, words)
        self.word_fits = nn.Linear(width, 1)
        self.defects = nn.Linear(width, len(VISUAL) + len(MOTION))


class School:
    """A pupil, its lessons, and the two optimisers: Muon for matrices, AdamW for the rest."""

    def __init__(self, pupil: Pupil, lessons: "Lessons", config: PretrainVlmConfig):
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


def demo_tokenizer() -> Any:
    """The tokenizer of the tiny base: words of the world, of the built-in dimensions, any bytes."""
    captions = list(_captions(400, np.random.default_rng(0)))
    texts = [" yes", " no", "\nuser\n", "\nassistant\n", "Rate the clip: Does it fit?"]
    for dimensions in BUILT_IN.values():
        texts += [RatingTemplate.of(dimensions, name).text("") for name in ("guideline", "brief")]
    return tiny_tokenizer([*captions, *texts * 20])


def _captions(count: int, rng: np.random.Generator) -> Iterator[str]:
    """Captions as `training_clips` writes them, without drawing the clips."""
    for _ in range(count):
        facts = random_facts(rng)
        recipe = random_recipe(rng, facts, Profile("training", wrong=(1.0, 0.0, 0.0)))
        yield caption(facts, *appearance_words(recipe, rng))


def _clips(config: PretrainVlmConfig) -> Iterator[Clip]:
    """The clips of the run: some as drawn, some through the generator's autoencoder."""
    blurred = round(config.pool * config.through_vae)
    exclude = frozenset(config.held_out)
    sharp = training_clips(
        config.pool - blurred, 1000 + 2 * config.seed, described=True, exclude=exclude
    )
    yield from sharp
    yield from training_clips(
        blurred, 1001 + 2 * config.seed, described=True, through_vae=True, exclude=exclude
    )


def _progress(run: Supervised, config: PretrainVlmConfig) -> Callable[[int], None]:
    def report(drawn: int) -> None:
        run.check()
        if drawn % 250 == 0:
            stage = f"drawing clips: {drawn} of {config.pool}"
            run.dir.log_metrics(0, config.steps, stage=stage)

    return report


@dataclass(frozen=True, slots=True)
class ClipPool:
    """Clips as the base sees them: frames uint8 [N, 8, 3, 56, 56], captions, recipes."""

    frames: torch.Tensor
    captions: tuple[str, ...]
    recipes: tuple[Recipe, ...]

    @classmethod
    def drawn(
        cls, clips: Iterable[Clip], count: int, side_factor: int, report: Callable[[int], None]
    ) -> Self:
        rule = frame_rule(side_factor)
        frames: torch.Tensor | None = None
        captions, recipes = [], []
        for index, clip in enumerate(clips):
            small = clip_of_array(clip.frames, rule, fps=float(FPS)).frames
            if frames is None:
                frames = torch.empty((count, *small.shape), dtype=torch.uint8)
            frames[index] = small
            captions.append(clip.caption)
            recipes.append(clip.recipe)
            report(index)
        assert frames is not None
        return cls(frames, tuple(captions), tuple(recipes))


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one step shows: K clips; K captions to write, then K questions to answer."""

    patches: torch.Tensor  # [K * patches, values]
    grid: torch.Tensor  # [K, 3]
    input_ids: torch.Tensor  # [2 K, L]
    attention_mask: torch.Tensor  # [2 K, L]
    targets: torch.Tensor  # [2 K, L], IGNORE where nothing is asked
    words: torch.Tensor  # [K, words], 1 where the caption has the word
    fits: torch.Tensor  # [2 K, L], 1 where the clip shows the word, 0 where not, IGNORE elsewhere
    asks: torch.Tensor  # [2, K], the places in the questions where look and motion are asked for
    grades: torch.Tensor  # [K, defects], how strong, in thirds of 1


class Lessons:
    """Turns clips of the pool into lessons, and a pupil's answers into losses."""

    def __init__(self, tokenizer: Any, pool: ClipPool, words: tuple[int, ...] = ()):
        self.tokenizer = tokenizer
        self._pool = pool
        self._video, self._end = tokenizer.convert_tokens_to_ids(
            ["<|video_pad|>", "<|vision_end|>"]
        )
        self._tokens = cache(
            lambda text: tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        )
        self._opening = opening_of(tokenizer)
        self._yes_or_no = torch.tensor([*self._tokens(" yes"), *self._tokens(" no")])
        self.words = words or self._telling_words()
        self._facts = frozenset(
            t for each in pool.recipes for t in self._tokens(f"\n{caption(each.shown)}")
        ) & frozenset(self.words)

    def _telling_words(self) -> tuple[int, ...]:
        """Tokens that some captions have and others have not."""
        counts = Counter(t for text in self._pool.captions for t in set(self._tokens(f"\n{text}")))
        return tuple(sorted(t for t, n in counts.items() if n < 0.9 * len(self._pool.captions)))

    def lesson(self, rng: np.random.Generator, count: int) -> Lesson:
        chosen = rng.integers(len(self._pool.captions), size=count)
        frames = self._pool.frames[torch.from_numpy(chosen)]
        patches, grid = patchify(frames, FAMILY)
        t, h, w = grid
        marks = "<|video_pad|>" * (t * h * w // FAMILY.merge**2)
        front = self._tokens(f"{self._opening}<|vision_start|>{marks}<|vision_end|>")
        answers = [self._tokens(f"\n{self._pool.captions[index]}") for index in chosen]
        rows = [self._row(front, (*answer, self.tokenizer.eos_token_id)) for answer in answers]
        recipes = [self._pool.recipes[index] for index in chosen]
        rows += [self._questions(front, each, rng) for each in recipes]
        length = max(len(ids) for ids, _ in rows)
        pad = self.tokenizer.pad_token_id
        words = torch.tensor(self.words)
        fits = [[IGNORE] * len(ids) for ids, _ in rows[:count]]
        for index, (ids, _) in zip(chosen, rows[count:], strict=True):
            shown = self._tokens(f"\n{caption(self._pool.recipes[index].shown)}")
            fits.append(self._fits(ids, len(front), frozenset(shown)))
        return Lesson(
            patches=patches,
            grid=torch.tensor([grid] * count),
            input_ids=torch.tensor([[*ids, *[pad] * (length - len(ids))] for ids, _ in rows]),
            attention_mask=torch.tensor([[1] * len(i) + [0] * (length - len(i)) for i, _ in rows]),
            targets=torch.tensor([[*t, *[IGNORE] * (length - len(t))] for _, t in rows]),
            words=torch.stack([torch.isin(words, torch.tensor(a)) for a in answers]).float(),
            fits=torch.tensor([[*f, *[IGNORE] * (length - len(f))] for f in fits]),
            asks=torch.tensor([_asked_at(t, 2) for _, t in rows[count:]]).T,
            grades=torch.tensor(np.stack([defect_grades(each, rng) for each in recipes])),
        )

    def _fits(self, ids: Sequence[int], start: int, shown: frozenset[int]) -> list[int]:
        """Behind the clip: of each word for a fact, whether the clip shows it."""
        return [
            int(each in shown) if place >= start and each in self._facts else IGNORE
            for place, each in enumerate(ids)
        ]

    def _row(self, given: Sequence[int], asked: Sequence[int]) -> tuple[list[int], list[int]]:
        """Ids, and at each place the id that is to be said next."""
        return [*given, *asked], [*[IGNORE] * (len(given) - 1), *asked, IGNORE]

    def _questions(
        self, front: Sequence[int], recipe: Recipe, rng: np.random.Generator
    ) -> tuple[list[int], list[int]]:
        """How it looks, how it moves, whether a text fits: in the order of a rating text.

        Half of the texts fit; of the others most are wrong in one fact.
        """
        look, motion = appearance_words(recipe, rng)
        fits = bool(rng.random() < 0.5)
        text = caption(recipe.shown)
        if not fits:
            text, _ = mismatched(recipe.shown, rng, 1 if rng.random() < 0.75 else 2)
        asked = ("\nVisual quality:", "\nMotion quality:", f"\n{text}\nText alignment:")
        said = (f" {look}", f" {motion}", " yes" if fits else " no")
        ids, targets = [*front], [IGNORE] * (len(front) - 1)
        for question, answer in zip(asked, said, strict=True):
            ids += [*self._tokens(question), *self._tokens(answer)]
            targets += [*[IGNORE] * len(self._tokens(question)), *self._tokens(answer)]
        return ids, [*targets, IGNORE]

    def losses(self, pupil: Pupil, lesson: Lesson) -> dict[str, torch.Tensor]:
        body, count = pupil.model.model, len(lesson.grid)
        seen = body.get_video_features(lesson.patches, lesson.grid, return_dict=True)
        pooled = torch.stack([clip.mean(0) for clip in seen.pooler_output])
        # Each clip is looked at once and read twice: for its caption and for its question.
        seen.pooler_output = [*seen.pooler_output, *seen.pooler_output]
        hidden = body(
            input_ids=lesson.input_ids,
            attention_mask=lesson.attention_mask,
            position_ids=self._positions(body, lesson),
            mm_encoder_outputs={"video": seen},
            use_cache=False,
        ).last_hidden_state
        asked = lesson.targets != IGNORE
        logits, wanted = pupil.model.lm_head(hidden[asked]), lesson.targets[asked]
        nll = F.cross_entropy(logits, wanted, reduction="none")
        right = (logits.argmax(-1) == wanted).float()
        parts = self._parts(asked, wanted)
        # All fronts are equal, so the clip ends at one place in all rows.
        end = int((lesson.input_ids[0] == self._end).nonzero()[0])
        return {
            **{name: nll[part].mean() for name, part in parts.items()},
            **{f"{name}_right": right[part].mean() for name, part in parts.items()},
            "seen_words": _binary(pupil.seen_words(pooled), lesson.words),
            "read_words": _binary(pupil.read_words(hidden[:count, end]), lesson.words),
            "defects": _binary(self._graded(pupil, hidden[count:], lesson.asks), lesson.grades),
            "word_fits": _binary(
                pupil.word_fits(hidden[lesson.fits != IGNORE]).squeeze(-1),
                lesson.fits[lesson.fits != IGNORE].float(),
            ),
        }

    def _graded(self, pupil: Pupil, hidden: torch.Tensor, asks: torch.Tensor) -> torch.Tensor:
        """Logits [K, defects]: those of look where look is asked for, those of motion there."""
        rows = torch.arange(len(hidden))
        look, motion = (pupil.defects(hidden[rows, places]) for places in asks)
        return torch.cat([look[:, : len(VISUAL)], motion[:, len(VISUAL) :]], dim=1)

    def _parts(self, asked: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
        """Which of the asked tokens belong to captions, to look and motion, to yes or no."""
        half = len(asked) // 2
        question = (torch.arange(len(asked)) >= half)[:, None].expand_as(asked)[asked]
        fit = question & torch.isin(wanted, self._yes_or_no)
        return {"caption": ~question, "appearance": question & ~fit, "matching": fit}

    def _positions(self, body: Any, lesson: Lesson) -> torch.Tensor:  # [3, 2 K, L]
        row = lesson.input_ids[:1]
        kinds = torch.where(row == self._video, 2, 0).int()
        positions, _ = body.get_rope_index(
            row, mm_token_type_ids=kinds, video_grid_thw=lesson.grid[:1]
        )
        return positions.expand(-1, len(lesson.input_ids), -1)


def _asked_at(targets: Sequence[int], count: int) -> list[int]:
    """The places at which the first answers begin to be said."""
    starts = [
        place
        for place, each in enumerate(targets)
        if each != IGNORE and (place == 0 or targets[place - 1] == IGNORE)
    ]
    return starts[:count]


def _binary(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, truth)


def frame_rule(side_factor: int) -> FrameRule:
    """What the tiny base sees of a demo clip: 8 frames of about 56 x 56 pixels."""
    side = 56 // side_factor * side_factor
    return FrameRule(float(FPS), 4, 768, side * side, side * side, side_factor)


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
    fresh = training_clips(
        count, 999_000 + config.seed, described=True, exclude=frozenset(config.held_out)
    )
    pool = ClipPool.drawn(fresh, count, FAMILY.side_factor, lambda _: None)
    exam = Lessons(school.lessons.tokenizer, pool, school.lessons.words)
    school.pupil.eval()
    losses = exam.losses(school.pupil, exam.lesson(np.random.default_rng(config.seed), count))
    school.pupil.train()
    return {f"exam_{name}": round(value.item(), 4) for name, value in losses.items()}
