"""A static overlay that is drawn over a moving picture is found; scenery is not taken for one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotation.errors import MediaError
from annotation.media.bounded import Bounded
from annotation.media.overlays import Box, Overlays, find_overlays, one_sided, overlays_of
from tests.annotation.drawn_overlays import (
    CORNERS,
    FRAMES,
    HEIGHT,
    WIDTH,
    clip_file,
    scenery,
    stamped,
)

pytestmark = pytest.mark.one_engine


@pytest.mark.parametrize("corner", list(CORNERS))
@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_a_drawn_overlay_is_found_where_it_is(corner: str, strength: float) -> None:
    x, y = CORNERS[corner]
    drawn = Box(x / WIDTH, y / HEIGHT, (x + 22) / WIDTH, (y + 9) / HEIGHT)
    for seed in range(4):
        (box,) = find_overlays(stamped(scenery(seed), (x, y), strength)).boxes
        assert box.overlap(drawn) > 0.4


def testscenery_that_slides_past_has_no_overlay() -> None:
    found = [find_overlays(scenery(seed)) for seed in range(25)]
    assert [each.boxes for each in found] == [()] * 25
    assert min(each.visible for each in found) > 0.9


def test_where_nothing_moves_nothing_is_claimed() -> None:
    still = stamped(scenery(0, pan=0.0), CORNERS["bottom"])
    assert find_overlays(still) == Overlays((), (False,) * 256)
    assert find_overlays(still).visible == 0
    assert find_overlays(scenery(0)[:3]).visible == 0  # too few frames to say


def test_a_light_that_flickers_is_no_movement() -> None:
    still = scenery(0, pan=0.0)
    light = 0.6 + 0.4 * np.cos(np.arange(FRAMES))
    assert find_overlays(still * light[:, None, None]).visible == 0


def test_an_object_that_slides_along_its_own_edge_is_no_overlay() -> None:
    grey = scenery(1)
    grey[:, 4:12] = 128.0
    for number in range(FRAMES):
        grey[number, 4:12, 6 + 3 * number : 46 + 3 * number] = 250.0
    assert find_overlays(grey).boxes == ()


def test_a_thing_in_the_middle_is_not_taken_for_a_watermark() -> None:
    assert find_overlays(stamped(scenery(2), (45, 32))).boxes == ()


def test_a_pair_is_one_sided_only_where_the_other_clip_clearly_lacks_it() -> None:
    plain, other = find_overlays(scenery(3)), find_overlays(scenery(4))
    marked = find_overlays(stamped(scenery(3), CORNERS["bottom"]))
    both = find_overlays(stamped(scenery(4), CORNERS["bottom"]))
    elsewhere = find_overlays(stamped(scenery(4), CORNERS["top left"]))
    still = find_overlays(scenery(4, pan=0.0))
    assert one_sided(plain, other) is None
    assert one_sided(marked, both) is None
    assert one_sided(marked, other) == one_sided(other, marked) == marked.boxes[0]
    assert one_sided(marked, elsewhere) is not None
    # Under a still picture an overlay would look like scenery: nothing is said.
    assert one_sided(marked, still) is None


def test_the_codec_neither_hides_an_overlay_nor_makes_one(tmp_path: Path) -> None:
    marked = clip_file(tmp_path / "marked.mp4", stamped(scenery(5), CORNERS["bottom"], 0.7))
    plain = clip_file(tmp_path / "plain.mp4", scenery(5))
    x, y = CORNERS["bottom"]
    drawn = Box(x / WIDTH, y / HEIGHT, (x + 22) / WIDTH, (y + 9) / HEIGHT)
    found = overlays_of(marked).boxes
    assert found  # perhaps letter by letter
    assert all(box.overlap(drawn) > 0.2 for box in found)
    assert overlays_of(plain).boxes == ()
    with Bounded() as child:
        assert child.overlays(marked) == overlays_of(marked)
        (tmp_path / "broken.mp4").write_bytes(b"no clip")
        with pytest.raises(MediaError, match=r"broken.mp4 cannot be read as a video"):
            child.overlays(tmp_path / "broken.mp4")


@pytest.mark.shared
def test_the_logo_in_a_real_clip_is_found_and_none_in_the_clip_beside_it(shared: Any) -> None:
    marked, plain = (
        overlays_of(next((shared / "data" / "videoalign").rglob(f"example_3_{side}.mp4")))
        for side in "AB"
    )
    (box,) = marked.boxes
    assert box.overlap(Box(0.9, 0.92, 0.98, 0.98)) > 0.2  # where "runway" stands
    assert plain.boxes == ()
    assert one_sided(marked, plain) == box
