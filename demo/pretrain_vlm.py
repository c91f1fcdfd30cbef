"""Pretraining of the tiny vision-language base, as a real one comes pretrained.

From random weights a reward model of this size learns nothing about look and text (DESIGN 6). So
the base first learns to see: it writes captions of procedural clips, which name what is shown and
how it looks and moves in coarse words, and it answers whether a text fits a clip. It never meets
a vote, a reward or a held-out prompt.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from demo.recipes import caption
from demo.tiny_tokenizer import tiny_tokenizer
from demo.tiny_vlm import tiny_vlm
from demo.world import Clip, mismatched, training_clips
from formats.checkpoints import commit_checkpoint, commit_folder, newest_verified
from formats.dimensions import BUILT_IN
from formats.files import read_json, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import BadConfigError, NonFiniteError, Supervised
from models_rm.attention import use_for_vision
from models_rm.collator import opening_of
from models_rm.families import family_of
from models_rm.patches import patchify
from models_rm.prompts import RatingTemplate
from models_rm.video import FrameRule, clip_of_array

MODEL: Final = "Qwen2-VL"
QUESTION: Final = "\nDoes the clip show this?"
IGNORE: Final = -100


@dataclass(frozen=True, slots=True)
class PretrainVlmConfig:
    """Settings of a run of kind `pretrain` with base `vlm`."""

    base: str = "vlm"
    steps: int = 1200
    clips_per_step: int = 48
    learning_rate: float = 2e-3
    warmup_steps: int = 50
    weight_decay: float = 0.01
    pool: int = 6000  # different clips
    through_vae: float = 0.35  # share of the pool that went through the generator's autoencoder
    matching: float = 1.0  # weight of the yes-or-no questions beside the captions
    seed: int = 0
    threads: int = 1
    log_every: int = 20
    save_every: int = 200
    held_out: tuple[str, ...] = ()  # prompts whose captions are never shown

    def __post_init__(self) -> None:
        whole = ("steps", "clips_per_step", "pool", "threads", "log_every", "save_every")
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
    model = tiny_vlm("qwen2_vl", tokenizer, seed=config.seed).train()
    use_for_vision(model.model.visual)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=config.weight_decay,
    )
    start = _resume(run, model, optimizer)
    lessons = Lessons(tokenizer, model.config, _pool(config, run), config)

    def save(step: int) -> None:
        commit_checkpoint(
            run.dir.checkpoints,
            step,
            run.fence,
            lambda folder: _fill(folder, model, optimizer, step),
        )

    for step in range(start, config.steps):
        run.check(lambda done=step: save(done))  # type: ignore[misc]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        report = _step(model, optimizer, lessons, config, step)
        if (step + 1) % config.log_every == 0 or step + 1 == config.steps:
            run.dir.log_metrics(step + 1, config.steps, report, stage="pretraining")
        if (step + 1) % config.save_every == 0:
            save(step + 1)
    return _leave(run, model, tokenizer, config, lessons)


def _step(
    model: Any, optimizer: Any, lessons: "Lessons", config: PretrainVlmConfig, step: int
) -> dict[str, float]:
    batch = lessons.batch(np.random.default_rng([config.seed, 1, step]), config.clips_per_step)
    losses = lessons.losses(model, batch)
    total = losses["caption"] + config.matching * losses["matching"]
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if not torch.isfinite(norm):
        raise NonFiniteError(f"the gradient of step {step} is not finite")
    optimizer.step()
    return {
        "loss/caption": losses["caption"].item(),
        "loss/matching": losses["matching"].item(),
        "accuracy/matching": losses["matching_accuracy"].item(),
        "accuracy/caption_words": losses["word_accuracy"].item(),
        "learning_rate": optimizer.param_groups[0]["lr"],
    }


def learning_rate(step: int, config: PretrainVlmConfig) -> float:
    """Linear warm-up, then a cosine down to zero."""
    rise = min(1.0, (step + 1) / config.warmup_steps)
    return config.learning_rate * rise * (0.5 + 0.5 * math.cos(math.pi * step / config.steps))


def demo_tokenizer() -> Any:
    """The tokenizer of the tiny base: words of the world, of the built-in dimensions, any bytes."""
    captions = [clip.caption for clip in _described(400, seed=0)]
    texts = [QUESTION, " yes", " no", "\nuser\n", "\nassistant\n", "Rate the clip."]
    for dimensions in BUILT_IN.values():
        texts += [RatingTemplate.of(dimensions, name).text("") for name in ("guideline", "brief")]
    return tiny_tokenizer([*captions, *texts * 20])


def _described(count: int, seed: int) -> Iterator[Clip]:
    return training_clips(count, seed, described=True)


def _pool(config: PretrainVlmConfig, run: Supervised) -> list[Clip]:
    """All clips of the run, rendered beforehand."""
    blurred = round(config.pool * config.through_vae)
    exclude = frozenset(config.held_out)
    clips: list[Clip] = []
    for count, through_vae, seed in (
        (config.pool - blurred, False, 2 * config.seed),
        (blurred, True, 2 * config.seed + 1),
    ):
        for clip in training_clips(
            count, 1000 + seed, described=True, through_vae=through_vae, exclude=exclude
        ):
            if len(clips) % 100 == 0:
                run.check()
                run.dir.log_metrics(
                    0, config.steps, stage=f"drawing clips: {len(clips)} of {config.pool}"
                )
            clips.append(clip)
    return clips


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one step shows: K clips; K captions to write, then K questions to answer."""

    patches: torch.Tensor  # [K * patches, values]
    grid: torch.Tensor  # [K, 3]
    input_ids: torch.Tensor  # [2 K, L]
    attention_mask: torch.Tensor  # [2 K, L]
    targets: torch.Tensor  # [2 K, L], IGNORE where nothing is asked


class Lessons:
    """Turns clips of the pool into lessons, and a model's answers into losses."""

    def __init__(
        self, tokenizer: Any, model_config: Any, pool: list[Clip], config: PretrainVlmConfig
    ):
        self._tokenizer = tokenizer
        self._family = family_of(model_config)
        self._pool = pool
        rule = frame_rule(self._family.side_factor)
        self._frames = torch.stack([clip_of_array(c.frames, rule, fps=8.0).frames for c in pool])
        self._video = tokenizer.convert_tokens_to_ids("<|video_pad|>")
        self._answers = {word: self._tokens(f" {word}") for word in ("yes", "no")}
        self._cache: dict[str, list[int]] = {}

    def _tokens(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _cached(self, text: str) -> list[int]:
        if text not in self._cache:
            self._cache[text] = self._tokens(text)
        return self._cache[text]

    def batch(self, rng: np.random.Generator, count: int) -> Lesson:
        chosen = rng.integers(len(self._pool), size=count)
        patches, grid = patchify(self._frames[torch.from_numpy(chosen)], self._family)
        t, h, w = grid
        marks = "<|video_pad|>" * (t * h * w // self._family.merge**2)
        front = self._cached(f"{opening_of(self._tokenizer)}<|vision_start|>{marks}<|vision_end|>")
        clips = [self._pool[index] for index in chosen]
        rows = [self._caption_row(front, clip) for clip in clips]
        rows += [self._question_row(front, clip, rng) for clip in clips]
        length = max(len(ids) for ids, _ in rows)
        pad = self._tokenizer.pad_token_id
        return Lesson(
            patches=patches,
            grid=torch.tensor([grid] * count),
            input_ids=torch.tensor([ids + [pad] * (length - len(ids)) for ids, _ in rows]),
            attention_mask=torch.tensor([[1] * len(i) + [0] * (length - len(i)) for i, _ in rows]),
            targets=torch.tensor([t + [IGNORE] * (length - len(t)) for _, t in rows]),
        )

    def _caption_row(self, front: list[int], clip: Clip) -> tuple[list[int], list[int]]:
        answer = [*self._cached(f"\n{clip.caption}"), self._tokenizer.eos_token_id]
        return [*front, *answer], [*[IGNORE] * (len(front) - 1), *answer, IGNORE]

    def _question_row(
        self, front: list[int], clip: Clip, rng: np.random.Generator
    ) -> tuple[list[int], list[int]]:
        """Half of the texts fit; of the others most are wrong in one fact."""
        facts = clip.recipe.shown
        fits = bool(rng.random() < 0.5)
        text = (
            caption(facts) if fits else mismatched(facts, rng, 1 if rng.random() < 0.75 else 2)[0]
        )
        question = [*front, *self._cached(f"\n{text}{QUESTION}")]
        answer = self._answers["yes" if fits else "no"]
        ids = [*question, *answer]
        return ids, [*[IGNORE] * (len(question) - 1), *answer, IGNORE]

    def losses(self, model: Any, lesson: Lesson) -> dict[str, torch.Tensor]:
        seen = model.model.get_video_features(lesson.patches, lesson.grid, return_dict=True)
        # Each clip is looked at once and read twice: for its caption and for its question.
        seen.pooler_output = [*seen.pooler_output, *seen.pooler_output]
        positions, _ = model.model.get_rope_index(
            lesson.input_ids[:1],
            mm_token_type_ids=torch.where(lesson.input_ids[:1] == self._video, 2, 0).int(),
            video_grid_thw=lesson.grid[:1],
        )
        hidden = model.model(
            input_ids=lesson.input_ids,
            attention_mask=lesson.attention_mask,
            position_ids=positions.expand(-1, len(lesson.input_ids), -1),
            mm_encoder_outputs={"video": seen},
            use_cache=False,
        ).last_hidden_state
        asked = lesson.targets != IGNORE
        logits = model.lm_head(hidden[asked])
        each = F.cross_entropy(logits, lesson.targets[asked], reduction="none")
        right = (logits.argmax(-1) == lesson.targets[asked]).float()
        question = (torch.arange(len(asked)) >= len(asked) // 2)[:, None].expand_as(asked)[asked]
        return {
            "caption": each[~question].mean(),
            "matching": each[question].mean(),
            "word_accuracy": right[~question].mean(),
            "matching_accuracy": right[question].mean(),
        }


def frame_rule(side_factor: int) -> FrameRule:
    """What the tiny base sees of a demo clip: 8 frames of 56 x 56 pixels."""
    side = 56 // side_factor * side_factor or side_factor
    return FrameRule(8.0, 4, 768, side * side, side * side, side_factor)


def _fill(folder: Path, model: Any, optimizer: Any, step: int) -> None:
    state = {f"model.{name}": tensor for name, tensor in _weights(model).items()}
    names = [name for name, _ in model.named_parameters()]
    for index, moments in optimizer.state_dict()["state"].items():
        for key, value in moments.items():
            state[f"optimizer.{names[index]}.{key}"] = value
    save_file(
        {name: tensor.contiguous() for name, tensor in state.items()}, folder / "state.safetensors"
    )
    write_json(folder / "state.json", "pretrain-vlm/1", {"step": step})


def _weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def _resume(run: Supervised, model: Any, optimizer: Any) -> int:
    """Load the newest good checkpoint; give the step to go on with."""
    newest = newest_verified(run.dir.checkpoints, print)
    if newest is None:
        return 0
    state = load_file(newest.path / "state.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(state[f"model.{name}"])
    names = [name for name, _ in model.named_parameters()]
    moments = {
        index: {key: state[f"optimizer.{name}.{key}"] for key in ("step", "exp_avg", "exp_avg_sq")}
        for index, name in enumerate(names)
        if f"optimizer.{name}.step" in state
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return int(read_json(newest.path / "state.json", "pretrain-vlm/1")["step"])


def _leave(
    run: Supervised, model: Any, tokenizer: Any, config: PretrainVlmConfig, lessons: Lessons
) -> Outcome:
    summary = examine(model.eval(), lessons, config)
    target = run.dir.outputs / "vlm"

    def fill(folder: Path) -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    size = sum(parameter.numel() for parameter in model.parameters())
    meta = {"role": "vlm", "model": MODEL, "parameters": size, "config": asdict(config), **summary}
    sha256 = commit_folder(target, fill, meta)
    output = Output(OutputKind.BASE_MODEL, "outputs/vlm", sha256, meta)
    return Outcome(ExitCode.DONE, "done", "the base is trained", (output,), summary)


@torch.no_grad()
def examine(model: Any, lessons: Lessons, config: PretrainVlmConfig) -> dict[str, float]:
    """Captions and answers on 256 clips that were not in the pool."""
    exclude = frozenset(config.held_out)
    fresh = list(training_clips(256, 999_000 + config.seed, described=True, exclude=exclude))
    exam = Lessons(lessons._tokenizer, model.config, fresh, config)
    losses = exam.losses(model, exam.batch(np.random.default_rng(config.seed), 256))
    return {f"exam_{name}": round(value.item(), 4) for name, value in losses.items()}
