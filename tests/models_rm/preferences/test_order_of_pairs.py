"""Which pairs a step sees depends on seed, step and number of processes alone."""

import numpy as np
import pytest

from models_rm.preferences.data import PairOrder

PROMPTS = [f"prompt {n // 5}" for n in range(40)]


@pytest.mark.parametrize("world", [1, 2, 3, 4, 8])
def test_all_processes_together_see_the_pairs_of_one(world: int) -> None:
    order = PairOrder(PROMPTS, seed=3)
    for step in range(12):  # three epochs
        parts = [order.step(step, 10, rank=rank, world=world) for rank in range(world)]
        assert np.array_equal(np.concatenate(parts), order.step(step, 10))


def test_each_process_can_be_asked_alone_and_in_any_order() -> None:
    first = [PairOrder(PROMPTS, seed=3).step(step, 10, rank=1, world=2) for step in range(8)]
    again = PairOrder(PROMPTS, seed=3)
    for step in (5, 0, 7, 5):
        assert np.array_equal(again.step(step, 10, rank=1, world=2), first[step])


def test_more_processes_than_pairs_leave_some_without() -> None:
    parts = [PairOrder(PROMPTS, seed=3).step(0, 2, rank=rank, world=3) for rank in range(3)]
    assert [len(part) for part in parts] == [1, 1, 0]
    assert all(part.dtype == np.int64 for part in parts)


def test_another_seed_is_another_order_of_the_same_pairs() -> None:
    a = np.concatenate([PairOrder(PROMPTS, seed=1).step(step, 10) for step in range(4)])
    b = np.concatenate([PairOrder(PROMPTS, seed=2).step(step, 10) for step in range(4)])
    assert not np.array_equal(a, b)
    assert sorted(a) == sorted(b) == list(range(40))


def test_a_step_across_the_end_of_an_epoch_holds_pairs_of_both() -> None:
    order = PairOrder(PROMPTS, seed=3)
    seen = np.concatenate([order.step(step, 16) for step in range(5)])  # two epochs
    assert sorted(seen[:40]) == sorted(seen[40:]) == list(range(40))
