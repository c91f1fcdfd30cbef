"""Pairs whose sides differ in something that is easier to learn than quality are refused."""

from dataclasses import replace
from typing import Any

import pytest

from annotation.media.overlays import GRID, Box, Overlays
from formats.records import GenerationRecord, PreferenceRecord, ScoreRecord, VideoRef
from pipelines.pairs.guards import Guards
from pipelines.pairs.of_people import pairs_from_votes
from pipelines.pairs.of_rewards import pairs_from_scores
from pipelines.pairs.rules import GUARDS, Fault, PairingConfig, Rules

CLIP = VideoRef("a", "a.mp4", "aa", 16.0, 49, "wan", 1)
EVERYWHERE, NOWHERE = (True,) * GRID**2, (False,) * GRID**2
LOGO = Box(0.85, 0.9, 0.98, 0.98)


class Known:
    """What is known of a few clips, by id; plain clips that move where nothing is said."""

    def __init__(self, **marked: Overlays):
        self.marked = marked
        self.sizes: dict[str, tuple[int, int]] = {}
        self.looked = 0

    def size(self, video: VideoRef) -> tuple[int, int]:
        return self.sizes.get(video.id, (832, 480))

    def overlays(self, video: VideoRef) -> Overlays:
        self.looked += 1
        return self.marked.get(video.id, Overlays((), EVERYWHERE))


def _other(**changes: Any) -> VideoRef:
    return replace(CLIP, **{"id": "b", "sha256": "bb", **changes})


@pytest.mark.parametrize(
    ("guard", "changes", "fault"),
    [
        ("duration", {"num_frames": 81}, Fault("duration differs", "3.06 s against 5.06 s")),
        (
            "frame_rate",
            {"fps": 8.0, "num_frames": 25},  # 3.0625 s and 3.125 s: one duration
            Fault("frame rate differs", "16 against 8 frames per second"),
        ),
        ("generator", {"generator": "kling"}, Fault("generator differs", "wan against kling")),
        ("generator", {"generator": ""}, Fault("generator differs", "wan against unknown")),
    ],
)
def test_each_guard_names_the_difference_and_can_be_allowed(
    guard: str, changes: dict[str, Any], fault: Fault
) -> None:
    assert Guards(Known())(CLIP, _other(**changes)) == fault
    assert Guards(Known(), [guard])(CLIP, _other(**changes)) is None


def test_clips_of_another_size_are_no_pair_unless_allowed() -> None:
    looks = Known()
    looks.sizes["b"] = (720, 480)
    assert Guards(looks)(CLIP, _other()) == Fault("size differs", "832x480 against 720x480")
    assert Guards(looks, ["size"])(CLIP, _other()) is None


@pytest.mark.parametrize(
    ("marked", "words"),
    [("a", "on the chosen clip at the bottom right"), ("b", "on the rejected clip at the bottom")],
)
def test_a_watermark_on_one_side_only_is_refused(marked: str, words: str) -> None:
    looks = Known(**{marked: Overlays((LOGO,), EVERYWHERE)})
    fault = Guards(looks)(CLIP, _other())
    assert fault is not None
    assert fault.reason == "watermark on one side only"
    assert fault.detail.startswith(words)
    assert Guards(looks, ["watermark"])(CLIP, _other()) is None
    both = Known(a=Overlays((LOGO,), EVERYWHERE), b=Overlays((LOGO,), EVERYWHERE))
    assert Guards(both)(CLIP, _other()) is None


def test_pairs_of_still_pictures_pass_and_are_counted() -> None:
    guards = Guards(Known(b=Overlays((), NOWHERE)))
    assert guards(CLIP, _other()) is None
    assert guards.unseen == 1
    assert guards(CLIP, _other(id="c")) is None
    assert guards.unseen == 1


def test_pixels_are_looked_at_only_where_nothing_else_forbids() -> None:
    looks = Known()
    Guards(looks)(CLIP, _other(generator="kling"))
    assert looks.looked == 0
    Guards(looks, ["watermark"])(CLIP, _other())
    assert looks.looked == 0
    Guards(looks)(CLIP, _other())
    assert looks.looked == 2


@pytest.mark.parametrize(("fps", "same"), [(23.98, True), (24.0, False), (29.97, False)])
def test_rates_that_are_rounded_are_one_rate(fps: float, same: bool) -> None:
    guards = Guards(Known(), ["duration"])
    assert (guards(replace(CLIP, fps=23.976), _other(fps=fps)) is None) == same


def test_two_clips_that_are_alike_pass_every_guard() -> None:
    assert Guards(Known())(CLIP, _other(seed=2)) is None
    assert set(Guards(Known())._checks) == set(GUARDS)


def test_a_narrower_pair_is_made_where_a_guard_refuses_the_widest() -> None:
    videos = [CLIP, _other(), _other(id="c", sha256="cc", num_frames=81)]
    clips = [GenerationRecord("p", "a cat", "train", video) for video in videos]
    scores = [
        ScoreRecord(video.id, "p", "a cat", {}, {"VQ": total})
        for video, total in zip(videos, (1.0, 0.0, -5.0), strict=True)
    ]
    found = pairs_from_scores(clips, scores, PairingConfig(), Rules(guard=Guards(Known())))
    assert [(pair.chosen.id, pair.rejected.id) for pair in found.pairs] == [("a", "b")]
    assert found.replaced == {"duration differs": 1}
    (example,) = found.examples
    assert (example.rejected, example.replaced) == (videos[2], True)


def test_what_people_preferred_is_guarded_too() -> None:
    from formats.labels import Label

    record = PreferenceRecord(
        "id", "a cat", "train", CLIP, _other(generator="kling"), {"VQ": Label.A}
    )
    rules = Rules(guard=Guards(Known()))
    assert pairs_from_votes([record], PairingConfig(), rules).refused == {"generator differs": 1}
    allowed = Rules(guard=Guards(Known(), ["generator"]))
    assert len(pairs_from_votes([record], PairingConfig(), allowed).pairs) == 1
