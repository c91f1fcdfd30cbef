"""Chance as a function of what it is for: no random state is carried from step to step.

A run that was stopped and resumed takes exactly the batches, timesteps and noise that an
uninterrupted one takes, without a cursor in its checkpoints.
"""

from collections.abc import Sequence

import torch

from models_align.latents import content_key


def stream(seed: int, *names: str | int) -> torch.Generator:
    """A generator of its own for each use; `names` say which one it is."""
    return torch.Generator().manual_seed(seed_of(seed, *names))


def seed_of(seed: int, *names: str | int) -> int:
    """The seed of `stream`, for what has a random state of its own."""
    return int(content_key(str(seed), *map(str, names))[:14], 16)


def indices_of_step(count: int, size: int, step: int, seed: int) -> list[int]:
    """`size` of `count` things: each once per epoch, each epoch in an order of its own."""
    return [index for index, _ in visits_of_step(count, size, step, seed)]


def visits_of_step(count: int, size: int, step: int, seed: int) -> list[tuple[int, int]]:
    """(index, epoch) of each of the `size` things of a step: how often each was seen before."""
    found: list[tuple[int, int]] = []
    orders: dict[int, list[int]] = {}
    for place in range(step * size, (step + 1) * size):
        epoch, offset = divmod(place, count)
        if epoch not in orders:
            chance = stream(seed, "order", epoch)
            orders[epoch] = torch.randperm(count, generator=chance).tolist()
        found.append((orders[epoch][offset], epoch))
    return found


def batches_of_buckets(counts: Sequence[int], steps: int) -> list[tuple[int, int]]:
    """For each step the bucket it takes its batch from, and how many of them went before.

    Each step takes the bucket that is furthest behind its share, so that after any number of steps
    each pair was seen as often as any other, but for one batch.
    """
    total, taken = sum(counts), [0] * len(counts)
    order = []
    for step in range(1, steps + 1):
        behind = [step * count / total - done for count, done in zip(counts, taken, strict=True)]
        bucket = behind.index(max(behind))
        order.append((bucket, taken[bucket]))
        taken[bucket] += 1
    return order
