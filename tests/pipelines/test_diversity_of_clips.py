"""How different clips of one prompt are, before and after: figures, and the reason for none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotation.errors import MediaError
from annotation.media import bounded, sketches
from annotation.media.sketches import Sketch, sketch_of, spread
from formats.errors import FormatError
from formats.records import GenerationRecord, VideoRef
from pipelines.diversity import MOST_PROMPTS, MOST_SEEDS, diversity_of
from tests.pipelines.loop_world import write_clip

pytestmark = pytest.mark.one_engine


def clip(side: str, prompt: str, seed: int) -> GenerationRecord:
    video = VideoRef(f"{side}/{prompt}/{seed}", "a.mp4", "0" * 64, 8.0, 2, side, seed)
    return GenerationRecord("p", prompt, "test", video)


def side(name: str, prompts: int, seeds: int) -> list[GenerationRecord]:
    return [clip(name, f"p{at}", seed) for at in range(prompts) for seed in range(seeds)]


def grey(level: float, frames: int = 2) -> Sketch:
    return Sketch(np.full((frames, 16, 16, 3), level))


def look(video: VideoRef) -> Sketch:
    """Clips of the base differ by 51 levels from seed to seed, a fifth of the range; the
    candidate's by half of that."""
    name, _prompt, seed = video.id.split("/")
    return grey(int(seed) * (51.0 if name == "base" else 25.5))


def test_the_spread_is_the_mean_distance_in_percent_of_the_range() -> None:
    # Distances of 51, 51 and 102 levels: 20, 20 and 40 percent.
    assert spread([grey(0), grey(51), grey(102)]) == pytest.approx(80 / 3)
    assert spread([grey(7), grey(7)]) == 0
    with pytest.raises(ValueError, match="two of them"):
        spread([grey(0)])


def test_a_longer_clip_is_thinned_to_the_shorter_one() -> None:
    rising = Sketch(np.arange(5.0)[:, None, None, None] * np.ones((5, 16, 16, 3)))
    # Frames 0, 2 and 4 of five against three that stand still at 2: (2 + 0 + 2) / 3 of 255.
    assert rising.distance(grey(2, frames=3)) == pytest.approx(100 * 4 / 3 / 255)


def test_a_candidate_that_draws_one_picture_loses_diversity() -> None:
    found = diversity_of(side("base", 6, 2), side("candidate", 6, 2), look)
    assert found.change is not None
    assert (found.change.base, found.change.candidate) == (pytest.approx(20), pytest.approx(10))
    assert found.change.prompts == 6
    assert found.change.high is not None
    assert found.change.high < 0


def test_only_seeds_that_both_made_are_compared() -> None:
    # Seeds 0 and 1 on both sides; seed 9 of the base has no partner.
    base = [*side("base", 2, 2), clip("base", "p0", 9)]
    found = diversity_of(base, side("candidate", 2, 3), look)
    assert found.change is not None
    assert found.change.base == pytest.approx(20)


def test_one_clip_per_prompt_is_told_as_the_reason() -> None:
    found = diversity_of(side("base", 6, 1), side("candidate", 6, 1), look)
    assert found.change is None
    assert "one clip per prompt" in found.why_not
    assert "share no prompt" in diversity_of([], side("candidate", 1, 2), look).why_not


def test_clips_that_cannot_be_decoded_are_left_out_and_counted() -> None:
    def broken(video: VideoRef) -> Sketch:
        if "/p0/" in video.id:
            raise FormatError("not there")
        return look(video)

    found = diversity_of(side("base", 2, 2), side("candidate", 2, 2), broken)
    assert found.change is not None
    assert (found.change.prompts, found.unreadable) == (1, 4)
    none = diversity_of(side("base", 1, 2), side("candidate", 1, 2), broken)
    assert (none.change, none.unreadable) == (None, 4)
    assert none.why_not


def test_a_large_set_is_sampled_by_hash() -> None:
    seen: list[str] = []

    def counted(video: VideoRef) -> Sketch:
        seen.append(video.id)
        return look(video)

    sides = [side(name, MOST_PROMPTS + 20, MOST_SEEDS + 2) for name in ("base", "candidate")]
    found = diversity_of(*sides, counted)
    assert found.change is not None
    assert found.change.prompts == MOST_PROMPTS
    assert len(seen) == 2 * MOST_PROMPTS * MOST_SEEDS
    first = set(seen)
    seen.clear()
    diversity_of(*(list(reversed(each)) for each in sides), counted)
    assert set(seen) == first


def test_the_bounded_child_sees_what_we_see(tmp_path: Path) -> None:
    file = write_clip(tmp_path / "clip.mp4", 30)
    ours = sketch_of(file)
    assert ours.cells.shape == (4, 16, 16, 3)
    with bounded.Bounded() as child:
        theirs = child.sketch(file)
        assert theirs.cells == pytest.approx(ours.cells, abs=1 / 257)
        (tmp_path / "no clip.mp4").write_text("nothing")
        with pytest.raises(MediaError, match="cannot be read"):
            child.sketch(tmp_path / "no clip.mp4")


@pytest.mark.parametrize("said", [0, 3, 9])
def test_a_container_that_lies_about_its_frames_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: int
) -> None:
    file = write_clip(tmp_path / "clip.mp4", 30)
    honest, read = sketch_of(file), sketches._read
    lengths: list[int] = []

    def lying(path: Path, length: int | None) -> tuple[int, list[Any]]:
        lengths.append(said if length is None else length)
        return read(path, lengths[-1])

    monkeypatch.setattr(sketches, "_read", lying)
    assert (sketch_of(file).cells == honest.cells).all()
    assert lengths == [said, 4]
