"""How the model is spread over the processes that train it (`trainers.world`).

`ddp`: every process holds the whole model and they average their gradients. `fsdp`: every process
holds a slice of each weight, gradient and moment, and a block is put together while it is used
(torch.distributed.fsdp.fully_shard, which is FSDP2).
"""

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from trainers.world import World


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
    # one process (tests/models_rm/training/test_several_processes.py).
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


def take_apart(network: nn.Module) -> None:
    """Shard again what stayed whole: after a forward without a backward that is the root's part.

    Until then the network does not hold the parameters that the optimiser knows.
    """
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
