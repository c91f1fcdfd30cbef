"""Looking must not change what is looked at: training goes on as if nobody had."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from models_align.generators.base import Generator


@contextmanager
def untouched(generator: Generator) -> Iterator[None]:
    """Inside, the networks are in eval mode without gradients; afterwards all is as it was.

    What is put back: the state of chance (torch on every device, numpy, random), train or eval mode
    module by module, and the number of threads.
    """
    modules = [each for network in generator.networks.values() for each in network.modules()]
    modes = [each.training for each in modules]
    threads = torch.get_num_threads()
    numbers, words = np.random.get_state(), random.getstate()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices), torch.no_grad():
        try:
            for each in modules:
                each.training = False
            yield
        finally:
            for each, mode in zip(modules, modes, strict=True):
                each.training = mode
            torch.set_num_threads(threads)
            np.random.set_state(numbers)
            random.setstate(words)
