"""Several processes of one run: who one is, sums over all, one decision for all.

torchrun starts them and says in the environment which one each is. Messages of ours are tensors on
the CPU (gloo) and never pickles; gradients travel over nccl where there are GPUs. How a network is
spread over them says each package for itself (`models_rm.training.spreading`,
`models_align.spreading`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch.distributed.tensor import DTensor, distribute_tensor

from formats.supervised import BadConfigError, in_torchrun

# One process writes a checkpoint or a report while the others wait. One that died is seen by
# torchrun at once, and one that hangs by the supervisor: this is neither's limit.
_PATIENCE: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class World:
    """All processes of one run. Every method but `leads` must be called by all of them together."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """This process writes metrics, checkpoints and the outcome; there is exactly one."""
        return self.rank == 0

    def most(self, value: int) -> int:
        """The largest of everybody's values."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return int(tensor)

    def wait(self) -> None:
        """Go on when everybody has come this far."""
        self.most(0)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over everybody's tensors on the CPU, which have one shape."""
        if self.size == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total

    def each(self, mine: torch.Tensor) -> list[torch.Tensor]:
        """Everybody's tensors, which have one shape and dtype, by rank."""
        if self.size == 1:
            return [mine]
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(parts, mine.contiguous())
        return parts

    def my_rows(self, count: int) -> NDArray[np.int64]:
        """Which of `count` rows are this process's: as many for each, so the last ones may repeat.

        Not a collective. Equal numbers matter: a forward of a sharded model needs everybody.
        """
        each = -(-count // self.size)
        rows = np.arange(self.rank, self.size * each, self.size)
        return np.minimum(rows, max(count - 1, 0))

    def all_rows(self, mine: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """Back from the rows of `my_rows` to all of them, in order, for everybody."""
        parts = [part.numpy() for part in self.each(torch.from_numpy(np.ascontiguousarray(mine)))]
        return np.stack(parts, axis=1).reshape(-1, *mine.shape[1:])[:count]


ALONE: Final = World(torch.device("cpu"))


@contextmanager
def joined(processes: int) -> Iterator[World]:
    """The world of this run. BadConfigError where torchrun started another number of processes.

    Without this check four processes that were asked for could be one that says nothing.
    """
    found = int(os.environ["WORLD_SIZE"]) if in_torchrun() else 1
    if found != processes:
        raise BadConfigError(
            f"the config wants {processes} process{'es' * (processes > 1)}, but {found} "
            f"{'were' if found > 1 else 'was'} started; "
            f"use python -m torch.distributed.run --nproc-per-node={processes}"
        )
    if processes == 1:
        yield World(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        return
    device = _device(int(os.environ["LOCAL_RANK"]))
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_PATIENCE)
    yield World(device, dist.get_rank(), dist.get_world_size())
    # Not after an error: who has left by one does not come to say goodbye.
    dist.destroy_process_group()


def _device(local_rank: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise BadConfigError(
            f"each process needs a GPU of its own, and this host shows {torch.cuda.device_count()}"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


# Weights and moments, whole.


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor that may be sharded. Everybody must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """This process's part of a value that all of them have, placed as `like` is."""
    value = value.to(like.device)
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)
