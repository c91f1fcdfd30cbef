"""Clips of two sides as films: other rates are refused, other sizes and lengths are said."""

import pytest

from annotation.models import Generator, Prompt, Video
from formats.records import GenerationRecord, VideoRef
from pipelines.footage import footage_of, kinds_of
from pipelines.step_configs import StepConfigError

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


def _clips(
    name: str, *, fps: float = 8.0, frames: int = 16, slow: int = 0
) -> list[GenerationRecord]:
    """Six clips, the first `slow` of them at 16 a second."""
    return [
        GenerationRecord(
            str(n), f"prompt {n}", "test",
            VideoRef(f"{name}{n}", "c.mp4", f"{name}{n}".ljust(64, "0"),
                     16.0 if n < slow else fps, frames, seed=n % 2),
        )
        for n in range(6)
    ]  # fmt: skip


def test_other_frame_rates_are_refused_unless_that_is_asked_for() -> None:
    base, candidate = _clips("a"), _clips("b", slow=2)
    with pytest.raises(StepConfigError) as caught:
        footage_of(base, candidate)
    assert str(caught.value) == (
        "in 2 of 6 pairs the clips have other frame rates: 8 per second of the base against 16 of "
        "the candidate for 'prompt 0'; make them at one rate, or set allow_other_rates"
    )
    found = footage_of(base, candidate, allow_other_rates=True)
    assert found.warnings == [
        "2 of 6 pairs have other frame rates: judges and people see other motion",
        "2 of 6 pairs have lengths that differ by more than a tenth",
    ]
    assert found.candidate["fps"] == {"8": 4, "16": 2}


def test_rates_that_are_mixed_alike_on_both_sides_are_compared() -> None:
    assert footage_of(_clips("a", slow=3), _clips("b", slow=3)).warnings == []


def test_the_rates_of_film_and_of_television_film_are_one() -> None:
    assert footage_of(_clips("a", fps=24), _clips("b", fps=23.976)).other_rates == 0


def test_other_sizes_are_said_where_the_store_knows_them() -> None:
    base, candidate = _clips("a"), _clips("b")
    prompt, generator = Prompt.objects.for_text("p"), Generator.objects.create(name="g")
    for clip, side in ((base[0], 32), (candidate[0], 64), (candidate[1], 64)):
        Video.objects.create(
            prompt=prompt, generator=generator, sha256=clip.video.sha256, file="f", fps=8,
            num_frames=16, width=side, height=32, duration=2,
        )  # fmt: skip
    found = footage_of(base, candidate)
    assert found.other_sizes == 1
    assert found.warnings == [
        "1 of 6 pairs have other sizes of frame: the larger picture is at an advantage"
    ]
    assert found.candidate["size"] == {"unknown": 4, "64x32": 2}


def test_rare_rates_are_told_as_one() -> None:
    clips = [each for n in range(12) for each in _clips("a", fps=10 + n)[: 12 - n][:1]]
    assert sum(kinds_of(clips, {})["fps"].values()) == 12
    assert kinds_of(clips, {})["fps"]["other"] == 4
