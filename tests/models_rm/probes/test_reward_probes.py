"""The probes find what they look for: models made up for it, a good one and some with a fault."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import pytest

from formats.dimensions import VIDEOALIGN
from formats.labels import Label
from formats.records import PreferenceRecord, VideoRef
from models_rm.preferences.data import pairs_of
from models_rm.probes.asking import Subject
from models_rm.probes.questions import PROBES, alarms, run_probes
from tests.models_rm.conftest import grey_clip

KEYS = VIDEOALIGN.keys


class World(NamedTuple):
    """Forty pairs over eight prompts. Whose number is higher is better, in all dimensions."""

    folder: Path
    records: list[PreferenceRecord]
    worth: dict[str, float]  # by file name
    prompt: dict[str, str]  # by file name


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("probed")
    grey_clip(folder / "clip.mp4", 90)
    rng = np.random.default_rng(0)
    worth: dict[str, float] = {}
    prompt: dict[str, str] = {}
    records = []
    for n in range(40):
        names = [f"{n}{side}.mp4" for side in "ab"]
        for name in names:
            os.link(folder / "clip.mp4", folder / name)
            worth[name], prompt[name] = float(rng.normal()), f"prompt {n % 8}"
        a, b = (VideoRef(name, name, name, 8.0, int(rng.integers(8, 80))) for name in names)
        word = Label.A if worth[a.path] > worth[b.path] else Label.B
        labels = dict.fromkeys(KEYS, word)
        records.append(PreferenceRecord(f"p{n:02}", f"prompt {n % 8}", "test", a, b, labels))
    return World(folder, records, worth, prompt)


def good(world: World, seen: Any, prompt: str) -> list[float]:
    """Sees the worth; text alignment is noise where the prompt is another clip's."""
    if isinstance(seen, np.ndarray):
        return [-4.0 + seen.mean() / 100] * 3
    path, off = (seen[0], 0.3) if isinstance(seen, tuple) else (seen, 0.0)
    worth = world.worth[path.name] + off
    right = world.prompt[path.name] == prompt
    noise = np.random.default_rng(crc32(f"{path.name} {prompt}".encode())).normal()
    return [worth, 2 * worth, worth if right else noise]


def subject_of(rewards: Callable[[Sequence[Any], Sequence[str]], Any]) -> Subject:
    return Subject(
        dimensions=VIDEOALIGN.dimensions,
        theta=[5.0, 3.0, 2.5],
        fps=8.0,
        read=lambda video: video,
        read_at=lambda video, fps: (video, fps),
        frames=lambda _video: np.full((4, 8, 8, 3), 90, dtype=np.uint8),
        rewards=lambda seen, prompts: np.array(rewards(seen, prompts), dtype=float),
    )


def asked(
    world: World, judge: Callable[[Any, str], list[float]], *, rows: Any = None
) -> dict[str, dict[str, Any]]:
    subject = subject_of(
        lambda seen, prompts: [judge(s, p) for s, p in zip(seen, prompts, strict=True)]
    )
    pairs = pairs_of(world.records if rows is None else rows, KEYS)
    return {each["name"]: each for each in run_probes(subject, pairs, world.folder)}


def test_a_good_model_passes_all_that_can_be_passed(world: World) -> None:
    found = asked(world, lambda seen, prompt: good(world, seen, prompt))
    assert {name: each["status"] for name, each in found.items()} == {
        "prompt_swap": "passed",
        "shuffled_prompts": "passed",
        "same_clip_twice": "passed",
        "swapped_sides": "passed",
        "black_clip": "passed",
        "shortcuts": "passed",
        "noise_clip": "information",
        "frozen_clip": "information",
        "frame_rate": "information",
    }
    assert alarms(list(found.values())) == []
    assert "VQ, MQ stay the same, bit for bit" in found["prompt_swap"]["sentence"]
    assert found["same_clip_twice"]["figures"]["off"] < 1e-12
    assert found["frame_rate"]["sentence"].startswith("At 4 instead of 8 frames per second")
    for each in found.values():
        assert each["expected"]
        assert each["sentence"].endswith((".", "…"))


def test_a_dimension_that_may_not_see_the_prompt_and_does_is_an_alarm(world: World) -> None:
    def leaky(seen: Any, prompt: str) -> list[float]:
        vq, mq, ta = good(world, seen, prompt)
        return [vq + 0.01 * int(prompt[-1]), mq, ta]

    found = asked(world, leaky)
    assert found["prompt_swap"]["status"] == "failed"
    assert found["prompt_swap"]["figures"]["change/MQ"] == 0.0
    assert found["prompt_swap"]["figures"]["change/VQ"] > 0
    assert len(alarms(list(found.values()))) == 1


def test_text_alignment_that_ignores_the_text_is_an_alarm(world: World) -> None:
    def deaf(seen: Any, prompt: str) -> list[float]:
        vq, mq, _ = good(world, seen, prompt)
        return [vq, mq, vq]

    shuffled = asked(world, deaf)["shuffled_prompts"]
    assert shuffled["status"] == "failed"
    assert "TA 1.000 to 1.000" in shuffled["sentence"]


def test_rewards_that_depend_on_the_place_in_the_batch_are_alarms(world: World) -> None:
    def crooked(seen: Sequence[Any], prompts: Sequence[str]) -> list[list[float]]:
        rows = [good(world, each, prompt) for each, prompt in zip(seen, prompts, strict=True)]
        return [[value + 0.1 * (n % 2) for value in row] for n, row in enumerate(rows)]

    pairs = pairs_of(world.records, KEYS)
    found = {each["name"]: each for each in run_probes(subject_of(crooked), pairs, world.folder)}
    assert found["same_clip_twice"]["status"] == found["swapped_sides"]["status"] == "failed"


def test_a_model_that_likes_black_clips_is_an_alarm(world: World) -> None:
    def gothic(seen: Any, prompt: str) -> list[float]:
        if isinstance(seen, np.ndarray) and not seen.any():
            return [9.0, -9.0, -9.0]
        return good(world, seen, prompt)

    black = asked(world, gothic)["black_clip"]
    assert (black["status"], black["figures"]["VQ"], black["figures"]["MQ"]) == ("failed", 1, 0)
    assert "not below the median in VQ" in black["sentence"]


def test_a_reward_that_follows_length_more_than_people_do_is_an_alarm(world: World) -> None:
    frames = {
        ref.path: ref.num_frames for row in world.records for ref in (row.video_a, row.video_b)
    }

    def long(seen: Any, prompt: str) -> list[float]:
        vq, mq, ta = good(world, seen, prompt)
        return [vq, frames[seen.name] / 10 if isinstance(seen, Path) else mq, ta]

    shortcuts = asked(world, long)["shortcuts"]
    assert shortcuts["status"] == "failed"
    assert "MQ follows length (+1.00, people" in shortcuts["sentence"]
    # Where people follow it as much, it is no shortcut.
    fond = [
        replace(row, labels=dict.fromkeys(KEYS, longer(row.video_a, row.video_b)))
        for row in world.records
    ]
    assert asked(world, long, rows=fond)["shortcuts"]["status"] == "passed"


def longer(a: VideoRef, b: VideoRef | None) -> Label:
    assert b is not None
    if a.num_frames == b.num_frames:
        return Label.TIE
    return Label.A if a.num_frames > b.num_frames else Label.B


def test_what_cannot_be_asked_says_why(world: World) -> None:
    judge = lambda seen, prompt: good(world, seen, prompt)  # noqa: E731
    one_prompt = [replace(row, prompt="prompt 0") for row in world.records]
    found = asked(world, judge, rows=one_prompt)["shuffled_prompts"]
    assert (found["status"], found["sentence"]) == ("not_applicable", "There is one prompt only.")
    few = asked(world, judge, rows=world.records[:10])["shuffled_prompts"]
    assert few["sentence"] == "Fewer than 20 pairs are decided."
    tied = [replace(row, labels=dict.fromkeys(KEYS, Label.TIE)) for row in world.records]
    assert asked(world, judge, rows=tied)["shuffled_prompts"]["status"] == "not_applicable"


def test_a_clip_that_cannot_be_read_says_nothing_about_the_model(world: World) -> None:
    (world.folder / "broken.mp4").write_bytes(b"not a clip")
    world.worth["broken.mp4"], world.prompt["broken.mp4"] = 0.0, "prompt 0"
    broken = replace(world.records[0].video_a, path="broken.mp4", sha256="x")
    rows = [replace(world.records[0], video_a=broken), *world.records[1:]]
    found = asked(world, lambda seen, prompt: good(world, seen, prompt), rows=rows)
    assert found["shortcuts"]["status"] == "not_applicable"
    assert "cannot be read" in found["shortcuts"]["sentence"]
    assert found["prompt_swap"]["status"] == "passed"


def test_no_pairs_or_no_wish_ask_nothing(world: World) -> None:
    subject = subject_of(lambda seen, _prompts: [[0.0] * 3 for _ in seen])
    assert run_probes(subject, pairs_of([], KEYS), world.folder) == []
    assert run_probes(subject, pairs_of(world.records, KEYS), world.folder, limit=0) == []


def test_equal_rewards_for_everything_are_not_called_good(world: World) -> None:
    found = asked(world, lambda _seen, _prompt: [1.0, 1.0, 1.0])
    assert found["black_clip"]["status"] == "failed"
    assert found["shuffled_prompts"]["status"] == "failed"
    assert len(found) == len(PROBES)
