"""Which pairs stay together in a step: those that share clips, not all of one prompt."""

from collections.abc import Sequence

import numpy as np

from formats.labels import Label
from formats.records import PreferenceRecord, VideoRef
from models_rm.preferences.data import PairOrder, Pairs, pairs_of, sharing


def pairs_between(*ends: tuple[str, str], prompt: str = "p") -> Pairs:
    return pairs_of([_record(a, b, prompt) for a, b in ends], ("VQ",))


def _record(a: str, b: str, prompt: str) -> PreferenceRecord:
    first, second = (VideoRef(name, f"{name}.mp4", name, 8.0, 9) for name in (a, b))
    return PreferenceRecord(f"{a}-{b}", prompt, "train", first, second, {"VQ": Label.A})


def test_pairs_are_in_one_group_when_clips_link_them_even_through_others() -> None:
    groups = sharing(pairs_between(("a", "b"), ("c", "d"), ("b", "e"), ("e", "f"), ("d", "g")))
    assert _partition(groups) == [{0, 2, 3}, {1, 4}]


def test_pairs_of_one_prompt_that_share_no_clip_are_apart() -> None:
    assert _partition(sharing(pairs_between(("a", "b"), ("c", "d")))) == [{0}, {1}]


def test_one_clip_under_two_prompts_is_two_rows_and_links_nothing() -> None:
    rows = [_record("a", "b", "one"), _record("a", "b", "two")]
    assert _partition(sharing(pairs_of(rows, ("VQ",)))) == [{0}, {1}]


def test_no_pairs_are_no_groups() -> None:
    assert len(sharing(pairs_between())) == 0


def test_a_step_sees_whole_groups_one_after_the_other() -> None:
    ends = [(f"{group}a", f"{group}{place}") for group in range(6) for place in range(4)]
    pairs = pairs_between(*ends)
    order = PairOrder(sharing(pairs), seed=0)
    for step in range(3):
        seen = {pairs.rows[row].video.id[0] for row in pairs.a[order.step(step, 8)]}
        assert len(seen) == 2


def _partition(groups: Sequence[int] | np.ndarray) -> list[set[int]]:
    found: dict[int, set[int]] = {}
    for place, group in enumerate(groups):
        found.setdefault(int(group), set()).add(place)
    return sorted(found.values(), key=min)
