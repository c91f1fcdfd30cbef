"""What an image-to-video generator sees of a start image: named tensors, batch axis first.

None is the condition of a text-to-video generator.
"""

from collections.abc import Mapping, Sequence

import torch

Condition = Mapping[str, torch.Tensor]


def stacked(single: Sequence[Condition], device: torch.device) -> Condition | None:
    """Conditions of single clips, without a batch axis, as one of a batch; none gives None."""
    if not single or not single[0]:
        return None
    return {name: torch.stack([each[name] for each in single]).to(device) for name in single[0]}


def repeated(condition: Condition | None, times: int) -> Condition | None:
    """The batch one behind the other, as winners and losers of the same pairs are."""
    if condition is None:
        return None
    return {name: torch.cat([each] * times) for name, each in condition.items()}


def rows(condition: Condition | None, chosen: torch.Tensor) -> Condition | None:
    """Some rows of a batch; `chosen` is a mask or indices."""
    if condition is None:
        return None
    return {name: each[chosen] for name, each in condition.items()}


def joined(first: Condition | None, second: Condition | None) -> Condition | None:
    """One batch behind another; without a second one, the first twice."""
    if first is None or second is None:
        return repeated(first, 2)
    return {name: torch.cat([each, second[name]]) for name, each in first.items()}
