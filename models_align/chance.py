"""Chance as a function of what it is for: no random state is carried from step to step.

A run that was stopped and resumed takes exactly the batches, timesteps and noise that an
uninterrupted one takes, without a cursor in its checkpoints.
"""

import torch

from models_align.latents import content_key


def stream(seed: int, *names: str | int) -> torch.Generator:
    """A generator of its own for each use; `names` say which one it is."""
    mixed = int(content_key(str(seed), *map(str, names))[:14], 16)
    return torch.Generator().manual_seed(mixed)


def indices_of_step(count: int, size: int, step: int, seed: int) -> list[int]:
    """`size` of `count` things: each once per epoch, each epoch in an order of its own."""
    found: list[int] = []
    orders: dict[int, list[int]] = {}
    for place in range(step * size, (step + 1) * size):
        epoch, offset = divmod(place, count)
        if epoch not in orders:
            chance = stream(seed, "order", epoch)
            orders[epoch] = torch.randperm(count, generator=chance).tolist()
        found.append(orders[epoch][offset])
    return found
