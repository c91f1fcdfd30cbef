"""How the networks are spread over the processes that align them (`trainers.world`).

`ddp`: every process holds the whole generator and they average the gradients of the adapter.
`fsdp`: every process holds a slice of each weight, and a block is put together while it is used
(torch.distributed.fsdp.fully_shard, which is FSDP2).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from formats.supervised import BadConfigError
from trainers.world import World


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


def take_apart(networks: Mapping[str, nn.Module]) -> None:
    """Shard again what stayed whole: after a forward without a backward that is the root's part.

    Until then the networks do not hold the parameters that the optimiser knows.
    """
    for network in networks.values():
        for module in network.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
