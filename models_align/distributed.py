"""Several processes that align one generator: who one is, sums over all, one decision for all.

torchrun starts them and says in the environment which one each is. Messages of ours are tensors on
the CPU (gloo) and never pickles; gradients travel over nccl where there are GPUs.

`ddp`: every process holds the whole generator and they average the gradients of the adapter.
`fsdp`: every process holds a slice of each weight, and a block is put together while it is used
(torch.distributed.fsdp.fully_shard, which is FSDP2).
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from formats.supervised import BadConfigError, in_torchrun

# One process writes a checkpoint while the others wait. One that died is seen by torchrun at once,
# and one that hangs by the supervisor: this is neither's limit.
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
        """Everybody's tensors on the CPU, which have one shape and dtype, by rank."""
        if self.size == 1:
            return [mine]
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(parts, mine.contiguous())
        return parts


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


# The networks.


def spread(
    policy: nn.Module, networks: Mapping[str, nn.Module], world: World, sharding: str
) -> nn.Module:
    """What a step calls in the place of `policy`, which calls the networks."""
    if world.size == 1:
        return policy
    if sharding == "ddp":
        devices = None if world.device.type == "cpu" else [world.device.index]
        return DistributedDataParallel(
            policy,
            device_ids=devices,
            forward_sync_buffers=False,
            gradient_as_bucket_view=True,
            # Of two experts a step may ask one alone.
            find_unused_parameters=len(networks) > 1,
        )
    for network in networks.values():
        for block in _blocks(network):
            fully_shard(block)
        fully_shard(network)
    return policy


def _blocks(network: nn.Module) -> list[nn.Module]:
    """What diffusers says belongs together: it names the classes that are never torn apart."""
    names = set(getattr(network, "_no_split_modules", None) or ())
    found = [each for each in network.modules() if type(each).__name__ in names]
    if not found:
        raise BadConfigError(
            f"sharding 'fsdp' needs to know the blocks of a {type(network).__name__}, and it names "
            "none; use 'ddp'"
        )
    return found


def part_of_step(
    model: nn.Module, networks: Mapping[str, nn.Module], *, last: bool
) -> AbstractContextManager[None]:
    """Forward and backward of one micro-batch; gradients travel with the last one alone."""
    if isinstance(model, DistributedDataParallel) and not last:
        return model.no_sync()
    for network in networks.values():
        if isinstance(network, FSDPModule):
            network.set_requires_gradient_sync(last)
    return nullcontext()


# Weights and moments, whole.


def take_apart(networks: Mapping[str, nn.Module]) -> None:
    """Shard again what stayed whole: after a forward without a backward that is the root's part.

    Until then the networks do not hold the parameters that the optimiser knows.
    """
    for network in networks.values():
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
