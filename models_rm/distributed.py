"""Several processes that train one model: who one is, sums over all, one decision for all.

torchrun starts them and says in the environment which one each is. Messages of ours are tensors on
the CPU (gloo) and never pickles; gradients travel over nccl where there are GPUs.

`ddp`: every process holds the whole model and they average their gradients. `fsdp`: every process
holds a slice of each weight, gradient and moment, and a block is put together while it is used
(torch.distributed.fsdp.fully_shard, which is FSDP2).
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

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

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over everybody's arrays, which have one shape."""
        if self.size == 1:
            return values
        tensor = torch.from_numpy(np.array(values, dtype=np.float64))
        dist.all_reduce(tensor)
        return tensor.numpy()

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


# The model.


def spread(network: Any, world: World, sharding: str) -> nn.Module:
    """What a training step calls; `network` itself stays the thing that is examined and saved."""
    if world.size == 1:
        return network
    if sharding == "ddp":
        devices = None if world.device.type == "cpu" else [world.device.index]
        return DistributedDataParallel(
            network, device_ids=devices, forward_sync_buffers=False, gradient_as_bucket_view=True
        )
    # The packed layers give views, and none of ours changes one in place: the result equals that of
    # one process (tests/models_rm/test_several_processes.py).
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    for block in [*network.backbone.visual.blocks, *network.backbone.language_model.layers]:
        fully_shard(block)
    fully_shard(network)
    return network


def part_of_step(model: nn.Module, *, last: bool) -> AbstractContextManager[None]:
    """Forward and backward of one accumulation part; gradients travel with the last one alone."""
    if isinstance(model, DistributedDataParallel) and not last:
        return model.no_sync()
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(last)
    return nullcontext()


# Weights and moments, whole.


def take_apart(network: nn.Module) -> None:
    """Shard again what stayed whole: after a forward without a backward that is the root's part.

    Until then the network does not hold the parameters that the optimiser knows.
    """
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor that may be sharded. Everybody must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """This process's part of a value that all of them have, placed as `like` is."""
    value = value.to(like.device)
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)
