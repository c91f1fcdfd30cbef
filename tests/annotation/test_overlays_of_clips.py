"""A static overlay that is drawn over a moving picture is found; scenery is not taken for one."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from scipy import ndimage

from annotation.bounded import Bounded
from annotation.errors import MediaError
from annotation.overlays import Box, Overlays, find_overlays, one_sided, overlays_of

HEIGHT, WIDTH, FRAMES = 72, 112, 12
CORNERS = {"top left": (4, 4), "top right": (86, 4), "bottom left": (4, 58), "bottom": (86, 58)}


def _scenery(seed: int, pan: float = 3.0) -> np.ndarray:  # [T, h, w], 0 to 255
    """A textured picture that slides past in a direction of its own."""
    chance = np.random.default_rng(seed)
    size = (HEIGHT + 80, WIDTH + 80)
    picture = ndimage.gaussian_filter(chance.normal(size=size), 3)
    picture = 40 + 175 * (picture - picture.min()) / np.ptp(picture)
    angle = chance.uniform(0, 2 * np.pi)
    places = 40 + pan * np.arange(FRAMES)[:, None] * [np.sin(angle), np.cos(angle)]
    rows, columns = places.round().astype(int).T
    return np.stack(
        [picture[y : y + HEIGHT, x : x + WIDTH] for y, x in zip(rows, columns, strict=True)]
    )


def _stamped(grey: np.ndarray, corner: tuple[int, int], strength: float = 1.0) -> np.ndarray:
    """Letters in white, `strength` of the way."""
    letters = np.zeros((9, 22))
    letters[:, [0, 1, 2, 7, 8, 9, 14, 15, 16]] = letters[4] = 1
    x, y = corner
    stamped = grey.copy()
    stamped[:, y : y + 9, x : x + 22] += (
        strength * letters * (255 - stamped[:, y : y + 9, x : x + 22])
    )
    return stamped


@pytest.mark.parametrize("corner", list(CORNERS))
@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_a_drawn_overlay_is_found_where_it_is(corner: str, strength: float) -> None:
    x, y = CORNERS[corner]
    drawn = Box(x / WIDTH, y / HEIGHT, (x + 22) / WIDTH, (y + 9) / HEIGHT)
    for seed in range(4):
        (box,) = find_overlays(_stamped(_scenery(seed), (x, y), strength)).boxes
        assert box.overlap(drawn) > 0.4


def test_scenery_that_slides_past_has_no_overlay() -> None:
    found = [find_overlays(_scenery(seed)) for seed in range(25)]
    assert [each.boxes for each in found] == [()] * 25
    assert min(each.visible for each in found) > 0.9


def test_where_nothing_moves_nothing_is_claimed() -> None:
    still = _stamped(_scenery(0, pan=0.0), CORNERS["bottom"])
    assert find_overlays(still) == Overlays((), (False,) * 256)
    assert find_overlays(still).visible == 0
    assert find_overlays(_scenery(0)[:3]).visible == 0  # too few frames to say


def test_a_light_that_flickers_is_no_movement() -> None:
    still = _scenery(0, pan=0.0)
    light = 0.6 + 0.4 * np.cos(np.arange(FRAMES))
    assert find_overlays(still * light[:, None, None]).visible == 0


def test_an_object_that_slides_along_its_own_edge_is_no_overlay() -> None:
    grey = _scenery(1)
    grey[:, 4:12] = 128.0
    for number in range(FRAMES):
        grey[number, 4:12, 6 + 3 * number : 46 + 3 * number] = 250.0
    assert find_overlays(grey).boxes == ()


def test_a_thing_in_the_middle_is_not_taken_for_a_watermark() -> None:
    assert find_overlays(_stamped(_scenery(2), (45, 32))).boxes == ()


def test_a_pair_is_one_sided_only_where_the_other_clip_clearly_lacks_it() -> None:
    plain, other = find_overlays(_scenery(3)), find_overlays(_scenery(4))
    marked = find_overlays(_stamped(_scenery(3), CORNERS["bottom"]))
    both = find_overlays(_stamped(_scenery(4), CORNERS["bottom"]))
    elsewhere = find_overlays(_stamped(_scenery(4), CORNERS["top left"]))
    still = find_overlays(_scenery(4, pan=0.0))
    assert one_sided(plain, other) is None
    assert one_sided(marked, both) is None
    assert one_sided(marked, other) == one_sided(other, marked) == marked.boxes[0]
    assert one_sided(marked, elsewhere) is not None
    # Under a still picture an overlay would look like scenery: nothing is said.
    assert one_sided(marked, still) is None


def _file(path: Path, grey: np.ndarray) -> Path:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in grey.clip(0, 255).astype(np.uint8):
            rgb = np.repeat(picture[:, :, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_the_codec_neither_hides_an_overlay_nor_makes_one(tmp_path: Path) -> None:
    marked = _file(tmp_path / "marked.mp4", _stamped(_scenery(5), CORNERS["bottom"], 0.7))
    plain = _file(tmp_path / "plain.mp4", _scenery(5))
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
