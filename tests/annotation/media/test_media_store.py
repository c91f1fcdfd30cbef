"""Clips are kept by content, and annotators get copies that say nothing about their origin."""

import os
import shutil
import time
from pathlib import Path

import av
import pytest

from annotation.errors import MediaError
from annotation.media import keeping
from annotation.media.keeping import original_path, shown_path, store_video, sweep_quarantine
from annotation.models import Generator, Prompt, Video

pytestmark = pytest.mark.django_db


@pytest.fixture
def prompt():
    return Prompt.objects.for_text("a red square")


def decoded(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in container.decode(video=0)]


def test_a_clip_is_measured_by_decoding_it(prompt, clips):
    video = store_video(clips[0], prompt=prompt, seed=3, original_path="x/y.mp4", meta={"cfg": 5})
    assert (video.fps, video.num_frames, video.width, video.height) == (8, 5, 32, 32)
    assert video.duration == pytest.approx(5 / 8)
    assert video.meta == {"cfg": 5, "codec": "h264", "pixel_format": "yuv420p"}
    assert original_path(video).read_bytes() == clips[0].read_bytes()
    assert video.file == f"videos/{video.sha256[:2]}/{video.sha256}.mp4"


def test_the_same_clip_again_is_the_same_row(prompt, clips):
    maker = Generator.objects.create(name="wan")
    first = store_video(clips[0], prompt=prompt, generator=maker, seed=1)
    assert store_video(clips[0], prompt=prompt, generator=maker, seed=1) == first
    assert store_video(clips[0], prompt=prompt, generator=maker, seed=2) != first
    assert store_video(clips[0], prompt=prompt) == store_video(clips[0], prompt=prompt)
    assert Video.objects.count() == 3


def test_a_file_of_a_person_is_copied_and_one_of_a_run_linked(prompt, clips, settings, tmp_path):
    own = tmp_path / "own.mp4"
    own.write_bytes(clips[0].read_bytes())
    assert not original_path(store_video(own, prompt=prompt)).samefile(own)
    made = Path(settings.RUNS_ROOT) / "7" / "clip.mp4"
    made.parent.mkdir(parents=True)
    made.write_bytes(clips[1].read_bytes())
    assert original_path(store_video(made, prompt=prompt)).samefile(made)


def test_the_copy_for_people_has_the_same_pixels_and_no_metadata(prompt, clips):
    # The fixture wrote this into the container, and x264 its own name into the stream.
    assert b"generator-secret" in clips[0].read_bytes()
    video = store_video(clips[0], prompt=prompt)
    shown = shown_path(video)
    assert decoded(shown) == decoded(clips[0])
    assert b"secret" not in shown.read_bytes()
    # The index stands before the pictures, so the browser can start at once.
    assert shown.read_bytes().index(b"moov") < shown.read_bytes().index(b"mdat")


def test_what_browsers_cannot_play_is_encoded_again(prompt, tmp_path, write_clip):
    clip = write_clip(tmp_path / "old.mp4", codec="mpeg4")
    video = store_video(clip, prompt=prompt)
    assert video.meta["codec"] == "mpeg4"
    with av.open(str(shown_path(video))) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert sum(1 for _ in container.decode(stream)) == video.num_frames
    assert original_path(video).read_bytes() == clip.read_bytes()


def playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (Path.unlink, "missing"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"\0" * 4000), "cannot be read as a video"),
        (playlist, "cannot be read as a video"),
        (truncated, "cannot be read as a video"),
    ],
)
def test_what_is_not_a_clip_is_refused_and_leaves_nothing(
    prompt, clips, tmp_path, settings, spoil, words
):
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips[0].read_bytes())
    spoil(path)
    with pytest.raises(MediaError, match=words):
        store_video(path, prompt=prompt)
    assert not Video.objects.exists()
    assert not [each for each in Path(settings.MEDIA_ROOT).rglob("*") if each.is_file()]


def test_a_clip_that_is_too_long_or_too_fast_is_refused(prompt, tmp_path, write_clip):
    with pytest.raises(MediaError, match="lasts longer than 60 s"):
        store_video(write_clip(tmp_path / "long.mp4", frames=70, fps=1), prompt=prompt)
    with pytest.raises(MediaError, match="240 frames per second; expected up to 120"):
        store_video(write_clip(tmp_path / "fast.mp4", fps=240), prompt=prompt)


def test_what_killed_processes_left_in_the_quarantine_is_swept(settings):
    root = Path(settings.MEDIA_ROOT) / "quarantine"
    for name, age in (("old", 25 * 3600), ("new", 0)):
        (root / name).mkdir(parents=True)
        (root / name / "clip").write_bytes(b"x")
        then = time.time() - age
        os.utime(root / name, (then, then))
    sweep_quarantine()
    assert [each.name for each in root.iterdir()] == ["new"]


def test_two_sweeps_of_the_quarantine_do_not_hinder_each_other(settings, monkeypatch):
    root = Path(settings.MEDIA_ROOT) / "quarantine"
    for name in "ab":
        (root / name).mkdir(parents=True)
        os.utime(root / name, (time.time() - 25 * 3600,) * 2)
    plain = shutil.rmtree

    def rmtree(_path, **_options):
        for each in root.glob("*"):  # the other one
            plain(each)

    monkeypatch.setattr(keeping.shutil, "rmtree", rmtree)
    sweep_quarantine()
    assert list(root.iterdir()) == []


@pytest.mark.shared
def test_real_clips_are_measured_right(shared, prompt):
    folder = shared / "data" / "videoalign" / "videos"
    video = store_video(folder / "example_1_B.mp4", prompt=prompt)
    assert (video.fps, video.num_frames, video.width, video.height) == (30, 152, 1280, 720)
    # Its container names the service that transcoded it; the copy for people does not.
    assert b"aliyun" in (folder / "example_1_B.mp4").read_bytes()
    assert b"aliyun" not in shown_path(video).read_bytes()
