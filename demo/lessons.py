"""Lessons of the tiny vision-language base: what a step shows and asks, and what a pupil's answers
cost."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Self

import numpy as np
import torch
import torch.nn.functional as F

from demo.curricula import Curriculum
from models_rm.backbones.families import QWEN2_VL
from models_rm.networks.collator import opening_of
from models_rm.networks.patches import patchify

IGNORE: Final = -100
FAMILY: Final = QWEN2_VL


@dataclass(frozen=True, slots=True)
class ClipPool:
    """Clips as the base sees them: frames uint8 [N, T, 3, 56, 56], captions, recipes."""

    frames: torch.Tensor
    captions: tuple[str, ...]
    recipes: tuple[Any, ...]

    @classmethod
    def drawn(
        cls,
        clips: Iterable[Any],
        count: int,
        curriculum: Curriculum,
        report: Callable[[int], None] = lambda _: None,
    ) -> Self:
        rule = curriculum.rule(FAMILY.side_factor, FAMILY.temporal_patch)
        frames: torch.Tensor | None = None
        captions, recipes = [], []
        for index, clip in enumerate(clips):
            small = curriculum.seen(clip, rule)
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
    asks: torch.Tensor  # [Q, K], the places in the questions where defects are asked for
    grades: torch.Tensor  # [K, defects], how strong, in thirds of 1


class Lessons:
    """Turns clips of the pool into lessons, and a pupil's answers into losses."""

    def __init__(
        self,
        tokenizer: Any,
        pool: ClipPool,
        curriculum: Curriculum,
        words: tuple[int, ...] = (),
    ):
        self.tokenizer = tokenizer
        self.curriculum = curriculum
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
            t for each in pool.recipes for t in self._tokens(f"\n{curriculum.caption(each.shown)}")
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
            caption = self.curriculum.caption(self._pool.recipes[index].shown)
            shown = self._tokens(f"\n{caption}")
            fits.append(self._fits(ids, len(front), frozenset(shown)))
        return Lesson(
            patches=patches,
            grid=torch.tensor([grid] * count),
            input_ids=torch.tensor([[*ids, *[pad] * (length - len(ids))] for ids, _ in rows]),
            attention_mask=torch.tensor([[1] * len(i) + [0] * (length - len(i)) for i, _ in rows]),
            targets=torch.tensor([[*t, *[IGNORE] * (length - len(t))] for _, t in rows]),
            words=torch.stack([torch.isin(words, torch.tensor(a)) for a in answers]).float(),
            fits=torch.tensor([[*f, *[IGNORE] * (length - len(f))] for f in fits]),
            asks=torch.tensor([self._asked_at(t) for _, t in rows[count:]]).T,
            grades=torch.tensor(np.stack([self.curriculum.grades(each, rng) for each in recipes])),
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
        self, front: Sequence[int], recipe: Any, rng: np.random.Generator
    ) -> tuple[list[int], list[int]]:
        """How it looks and moves, whether a text fits: in the order of a rating text.

        Half of the texts fit.
        """
        words = iter(self.curriculum.words(recipe, rng))
        fits = bool(rng.random() < 0.5)
        text = self.curriculum.caption(recipe.shown)
        if not fits:
            text = self.curriculum.mismatched(recipe.shown, rng)
        ids, targets = [*front], [IGNORE] * (len(front) - 1)
        for each in self.curriculum.questions:
            before = f"\n{text}" if each.of_fit else ""
            answer = ("yes" if fits else "no") if each.of_fit else next(words)
            question = self._tokens(f"{before}\n{each.title}:")
            ids += [*question, *self._tokens(f" {answer}")]
            targets += [*[IGNORE] * len(question), *self._tokens(f" {answer}")]
        return ids, [*targets, IGNORE]

    def losses(self, pupil: Any, lesson: Lesson) -> dict[str, torch.Tensor]:
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

    def _graded(self, pupil: Any, hidden: torch.Tensor, asks: torch.Tensor) -> torch.Tensor:
        """Logits [K, defects]: each where its question is asked."""
        rows = torch.arange(len(hidden))
        parts, start = [], 0
        wanted = [each for each in self.curriculum.questions if not each.of_fit]
        for each, places in zip(wanted, asks, strict=True):
            end = start + len(each.kinds)
            parts.append(pupil.defects(hidden[rows, places])[:, start:end])
            start = end
        return torch.cat(parts, dim=1)

    def _asked_at(self, targets: Sequence[int]) -> list[int]:
        """The places at which the answers about defects begin to be said."""
        starts = [
            place
            for place, each in enumerate(targets)
            if each != IGNORE and (place == 0 or targets[place - 1] == IGNORE)
        ]
        questions = zip(starts, self.curriculum.questions, strict=True)
        return [place for place, each in questions if not each.of_fit]

    def _parts(self, asked: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
        """Which of the asked tokens belong to captions, to looks and movement, to yes or no."""
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


def _binary(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, truth)
