"""The errors of the reference, computed once per pair and draw instead of at every step.

The reference never changes, and with `noise_draws` neither do t and the noise of a pair: a table of
[pairs, draws, 2] numbers says all that a step wants to know of it. It is filled before the first
step, in batches that are always the same, and lies in the cache of the run: a run that was
interrupted goes on with the batches that are missing, and comes to the same numbers.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import torch

from models_align.adapters import networks_of
from models_align.data import PairData, Place
from models_align.latents import TensorCache, content_key
from models_align.policy import reference_errors
from trainers.world import World

# Rounds between two writings of the table: a second of work is lost at most, or a few batches.
_KEEP_EVERY: Final = 20
_NAME: Final = "errors"

# What is told after each round: how many batches of how many, and how to keep what is there.
Progress = Callable[[int, int, Callable[[], None]], None]


class ReferenceTable:
    """Fills [N, K, 2], the errors of winner and loser. All processes make and fill it together."""

    def __init__(self, data: PairData, cache: TensorCache, world: World):
        self.data = data
        self.cache = cache
        self.world = world
        self.size = forward_size(data.config.pairs_per_step, data.config.micro_pairs, world.size)
        self.key = self._key()

    def filled(self, progress: Progress) -> torch.Tensor:
        """The table: what an earlier attempt left, and the rest computed."""
        table = self._known()
        todo = [each for each in self._batches() if _rows(table, each).isnan().any()]
        rounds = -(-len(todo) // self.world.size)
        for number in range(rounds):
            mine = todo[min(number * self.world.size + self.world.rank, len(todo) - 1)]
            self._compute(table, mine)
            if (number + 1) % _KEEP_EVERY == 0 or number + 1 == rounds:
                table = self._kept(table)
            done = min((number + 1) * self.world.size, len(todo))
            progress(done, len(todo), partial(self._keep, table))
        return table

    def _compute(self, table: torch.Tensor, places: Sequence[Place]) -> None:
        """Filled up with copies: one size of batch means one path through the kernels."""
        filled = [*places, *[places[-1]] * (self.size - len(places))]
        batch = self.data.batch(self.data.planned(filled))
        found = torch.stack(reference_errors(self.data.generator, batch), dim=1).cpu()
        for place, row in zip(places, found, strict=False):
            table[place.pair, place.draw] = row

    def _batches(self) -> list[list[Place]]:
        """Every pair with every draw, bucket by bucket."""
        draws, found = self.data.config.noise_draws, []
        for bucket in self.data.buckets:
            places = [self.data.fixed(pair, draw) for pair in bucket for draw in range(draws)]
            found += [places[at : at + self.size] for at in range(0, len(places), self.size)]
        return found

    def _known(self) -> torch.Tensor:
        """What an earlier attempt left, by the word of the first process; NaN for the rest."""
        shape = (len(self.data.pairs), self.data.config.noise_draws, 2)
        empty = torch.full(shape, torch.nan)
        if not self.world.leads:
            return self.world.sum(torch.zeros(shape))
        found = self.cache.get(self.key, lambda: {_NAME: empty})[_NAME]
        return self.world.sum(found.clone() if tuple(found.shape) == shape else empty)

    def _keep(self, table: torch.Tensor) -> None:
        self._kept(table)

    def _kept(self, table: torch.Tensor) -> torch.Tensor:
        """Everybody's rows together, on disk; NaN where nobody has any."""
        there = self.world.each(table)
        for other in there:
            table = torch.where(table.isnan(), other, table)
        if self.world.leads:
            self.cache.put(self.key, {_NAME: table})
        return table

    def _key(self) -> str:
        """Of everything that the numbers depend on."""
        data, config = self.data, self.data.config
        pairs = [
            [each.pair_id, each.chosen.sha256, each.rejected.sha256, each.prompt,
             each.image.sha256 if each.image else ""]
            for each in data.pairs
        ]  # fmt: skip
        asked = config.to_json()
        names = ("noise_draws", "timesteps", "caption_dropout", "start_noise", "precision", "seed")
        parts = [
            data.generator.fingerprint(),
            networks_of(data.generator),
            {name: asked[name] for name in names},
            self.size,
            pairs,
        ]
        return content_key("reference", json.dumps(parts, sort_keys=True))


def forward_size(pairs_per_step: int, micro_pairs: int, processes: int) -> int:
    """Pairs of one forward."""
    mine = pairs_per_step // processes
    return min(micro_pairs or mine, mine)


def _rows(table: torch.Tensor, places: Sequence[Place]) -> torch.Tensor:
    return torch.stack([table[each.pair, each.draw] for each in places])
