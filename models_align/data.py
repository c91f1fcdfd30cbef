"""Preference pairs as batches of latents and text embeddings, with chance of (seed, step) alone.

A step takes its pairs from one bucket: pairs whose latents have one shape. Everything that a loss
needs to know beside the errors is known to every process before a clip is read (`Plan`); each reads
the clips of its own rows.

With `noise_draws` K each pair has K fixed draws of (t, noise) and takes them in turn, so that what
the reference makes of them can be computed once (`models_align.reference`). Without, each step
draws anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from formats.errors import FormatError
from formats.records import PairRecord
from models_align.chance import batches_of_buckets, stream, visits_of_step
from models_align.config import AlignmentConfig
from models_align.encoding import ClipEncoder
from models_align.generators.base import Generator, draw_times
from models_align.generators.conditions import Condition, stacked
from models_align.latents import TensorCache
from models_align.weighting import pair_weights
from trainers.world import ALONE, World

ALL = slice(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFacts:
    """What a loss needs to know of pairs beside their errors."""

    t: torch.Tensor  # [B]
    reward_w: torch.Tensor  # [B] in [0, 1]
    reward_l: torch.Tensor  # [B]
    weight_w: torch.Tensor  # [B], of Flow-RWR and GAPO
    weight_l: torch.Tensor  # [B]

    def part(self, rows: slice, device: torch.device) -> dict[str, torch.Tensor]:
        """The same of some rows, by name."""
        return {each.name: getattr(self, each.name)[rows].to(device) for each in fields(PairFacts)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(PairFacts):
    """Pairs of one forward, on the generator's device. Winner and loser share t and the noise."""

    winners: torch.Tensor  # [B, C, t, h, w]
    losers: torch.Tensor  # [B, C, t, h, w]
    text: torch.Tensor  # [B, L, D]
    condition: Condition | None  # of the start image, or else of the winner's first frame
    noise: torch.Tensor  # [B, C, t, h, w]
    condition_l: Condition | None = None  # of the loser, where each has noise of its own on it
    reference: tuple[torch.Tensor, torch.Tensor] | None = None  # errors that were computed before


@dataclass(frozen=True, slots=True)
class Place:
    """One pair in a step, and whose chance decides its t, its noise and if it has its caption."""

    pair: int
    draw: int  # of the fixed ones; -1: this step's own
    chance: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A step, or some pairs to look at, as all processes know it."""

    places: tuple[Place, ...]
    dropped: tuple[bool, ...]  # [B]: trained on the empty prompt
    facts: PairFacts


def training_pairs(file: Path) -> list[PairRecord]:
    """The pairs of the split `train`; none is an error, because the others are never trained on."""
    records = PairRecord.read(file)
    pairs = [each for each in records if each.split == "train"]
    if not pairs:
        raise FormatError(
            f"no pair of the split 'train' among {len(records)} pairs",
            path=file,
        )
    return pairs


class PairData:
    """The pairs of a run, encoded once. `encode` comes before `plan` and `batch`."""

    def __init__(
        self,
        pairs: Sequence[PairRecord],
        media_root: Path,
        generator: Generator,
        cache: TensorCache,
        config: AlignmentConfig,
    ):
        self.pairs = list(pairs)
        self.generator = generator
        self.encoder = ClipEncoder(generator, cache, media_root)
        self.config = config
        self.weights = pair_weights(self.pairs, config)
        self.buckets: list[list[int]] = []
        self.references: torch.Tensor | None = None  # [N, K, 2], of winner and loser
        self._order: list[tuple[int, int]] = []

    def encode(self, progress: Callable[[int, int], None], world: World = ALONE) -> None:
        """Encode every clip and prompt, so that a broken one is found before the first step.

        Each process encodes its share, and finds that of the others in the cache.
        """
        work = self._work()
        each = -(-len(work) // world.size)
        for number in range(each):
            mine = number * world.size + world.rank
            if mine < len(work):
                work[mine]()
            progress(min((number + 1) * world.size, len(work)), len(work))
        world.wait()
        shapes = [self._shape(each) for each in self.pairs]
        known = sorted(set(shapes))
        self.buckets = [
            [number for number, shape in enumerate(shapes) if shape == wanted] for wanted in known
        ]
        self._order = batches_of_buckets([len(each) for each in self.buckets], self.config.steps)

    def plan(self, step: int) -> Plan:
        """The pairs of a step, each once per epoch of its bucket, and what their losses need."""
        bucket, number = self._order[step]
        rows, config = self.buckets[bucket], self.config
        visits = visits_of_step(len(rows), config.pairs_per_step, number, config.seed)
        places = []
        for slot, (row, epoch) in enumerate(visits):
            if config.noise_draws:
                places.append(self.fixed(rows[row], epoch % config.noise_draws))
            else:
                places.append(Place(rows[row], -1, ("step", step, slot)))
        return self.planned(places)

    def fixed(self, pair: int, draw: int) -> Place:
        """A pair with one of its fixed draws."""
        return Place(pair, draw, ("draw", self.pairs[pair].pair_id, draw))

    def planned(self, places: Sequence[Place]) -> Plan:
        drawn = [self._drawn(each) for each in places]
        pairs = [self.pairs[each.pair] for each in places]
        rewards = torch.tensor([[each.reward_w, each.reward_l] for each in pairs])
        weights = self.weights[[each.pair for each in places]]
        facts = PairFacts(
            t=torch.stack([t for t, _, _ in drawn]),
            reward_w=rewards[:, 0],
            reward_l=rewards[:, 1],
            weight_w=weights[:, 0],
            weight_l=weights[:, 1],
        )
        return Plan(tuple(places), tuple(dropped for _, dropped, _ in drawn), facts)

    def batch(self, plan: Plan, rows: slice = ALL) -> Batch:
        """Some rows of a plan, with their latents and noise."""
        places, device = plan.places[rows], self.generator.device
        pairs = [self.pairs[each.pair] for each in places]
        winners = torch.stack([self.encoder.clip(each.chosen)["latents"] for each in pairs])
        losers = torch.stack([self.encoder.clip(each.rejected)["latents"] for each in pairs])
        prompts = [
            "" if drop else each.prompt
            for each, drop in zip(pairs, plan.dropped[rows], strict=True)
        ]
        start_w, start_l = self._starts(places, device)
        noise = [torch.randn(winners.shape[1:], generator=self._drawn(p)[2]) for p in places]
        return Batch(
            winners=winners.to(device),
            losers=losers.to(device),
            text=torch.stack([self.encoder.text(each) for each in prompts]).to(device),
            condition=start_w,
            condition_l=start_l,
            noise=torch.stack(noise).to(device),
            reference=self._references(places, device),
            **plan.facts.part(rows, device),
        )

    def _work(self) -> list[Callable[[], object]]:
        """What is encoded, each thing once; the shorter first."""
        work: dict[Any, Callable[[], object]] = {}
        for prompt in ["", *(each.prompt for each in self.pairs)]:
            work.setdefault(prompt, partial(self.encoder.text, prompt))
        for each in self.pairs:
            key = (each.chosen.sha256, each.image.sha256 if each.image else "")
            work.setdefault(key, partial(self.encoder.start, each.chosen, each.image))
            work.setdefault((each.rejected.sha256, ""), partial(self.encoder.clip, each.rejected))
        return list(work.values())

    def _shape(self, pair: PairRecord) -> tuple[int, ...]:
        chosen, rejected = self.encoder.shape(pair.chosen), self.encoder.shape(pair.rejected)
        if chosen != rejected:
            raise FormatError(
                f"the clips of the pair {pair.pair_id} must have one size and length, found "
                f"latents of {chosen} and {rejected}"
            )
        return chosen

    def _drawn(self, place: Place) -> tuple[torch.Tensor, bool, torch.Generator]:
        """t, whether the caption is dropped, and the chance that the noise is drawn from."""
        chance = stream(self.config.seed, *place.chance)
        t = draw_times(self.generator, 1, self.config.timesteps, chance)[0]
        dropped = torch.rand(1, generator=chance).item() < self.config.caption_dropout
        return t, dropped, chance

    @property
    def encodes_each_step(self) -> bool:
        """Whether start images get noise, anew in each step, and so need the autoencoder."""
        return bool(self.config.start_noise) and self.generator.needs_image

    def _starts(
        self, places: Sequence[Place], device: torch.device
    ) -> tuple[Condition | None, Condition | None]:
        """What winners and losers see of their start images; None for losers: the same."""
        encoder, median = self.encoder, self.config.start_noise
        pairs = [self.pairs[each.pair] for each in places]
        if not self.encodes_each_step:
            return stacked([encoder.start(each.chosen, each.image) for each in pairs], device), None
        of_winner, of_loser = (
            [
                encoder.noised_start(pair.chosen, pair.image, median, self._chance(place, side))
                for pair, place in zip(pairs, places, strict=True)
            ]
            for side in ("start of winner", "start of loser")
        )
        return stacked(of_winner, device), stacked(of_loser, device)

    def _chance(self, place: Place, use: str) -> torch.Generator:
        return stream(self.config.seed, use, *place.chance)

    def _references(
        self, places: Sequence[Place], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        if self.references is None:
            return None
        rows = torch.stack([self.references[each.pair, each.draw] for each in places]).to(device)
        return rows[:, 0], rows[:, 1]
