"""Media ingest as a run: every file is taken or refused with a sentence, also after a kill."""

import csv
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from annotation.errors import MediaError
from annotation.media.keeping import measured, poster_key, shown_key
from annotation.media.storage import media_storage
from annotation.media.taking import Taker
from annotation.models import Prompt, Video
from formats.errors import FormatError
from formats.supervised import Supervised
from pipelines import lifecycle
from pipelines.errors import InvalidRunConfig
from pipelines.ingests import ingesting
from pipelines.models import Run
from pipelines.registry import path_of
from pipelines.starting import start_run
from tests.annotation import hostile_media as hostile
from tests.pipelines.loop_world import play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
VARIABLE = [0, 42, 84, 300, 342, 384, 426, 468, 510, 552, 594, 636]


@pytest.fixture
def incoming(settings: Any) -> Path:
    folder = Path(settings.MEDIA_ROOT) / "incoming"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def batch(incoming: Path) -> Path:
    """A folder of clips as people send them, with a manifest."""
    folder = incoming / "batch"
    (folder / "wan").mkdir(parents=True)
    hostile.clip(folder / "wan" / "plain.mp4")
    shutil.copy(folder / "wan" / "plain.mp4", folder / "twin.mp4")
    hostile.clip(
        folder / "again.mp4", rate=8, codec="mpeg4"
    )  # the same pictures, otherwise encoded
    hostile.clip(folder / "uneven.webm", frames=12, times=VARIABLE, kind="matroska", side=96)
    blinking(folder / "blinking.mp4")
    (folder / "notes.txt").write_text("no clip")
    (folder / "empty.mp4").write_bytes(b"")
    Image.new("RGB", (64, 64), "teal").save(folder / "first.png")
    (folder / "link.mp4").symlink_to(folder / "twin.mp4")
    rows = [
        ("wan/plain.mp4", "a red square", "wan", "1", ""),
        ("twin.mp4", "a red square", "wan", "2", ""),
        ("again.mp4", "a red square", "ltx", "", "first.png"),
        ("uneven.webm", "a blue square", "ltx", "", ""),
        ("blinking.mp4", "a lamp", "", "", ""),
        ("empty.mp4", "nothing", "", "", ""),
        ("notes.txt", "nothing", "", "", ""),
        ("link.mp4", "nothing", "", "", ""),
        ("gone.mp4", "nothing", "", "", ""),
    ]
    write_manifest(folder / "manifest.csv", rows)
    return folder


def write_manifest(path: Path, rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "prompt", "model", "seed", "image_path"])
        writer.writerows(rows)


def blinking(path: Path) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(24):
            picture = np.full((64, 64, 3), 255 * (number % 2), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def report_of(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path_of(run.artifacts.get()).read_text())
    return found


@pytest.fixture
def ingested(batch: Path, mia: Any) -> Run:
    config = {"folder": "batch", "manifest": "manifest.csv", "processes": 2}
    done: Run = play(start_run("ingest", config, user=mia))
    return done


def test_every_file_is_taken_or_refused_with_a_sentence(ingested: Run) -> None:
    report = report_of(ingested)
    verdicts = {row["file"]: (row["verdict"], row["reason"]) for row in report["files"]}
    assert verdicts == {
        "wan/plain.mp4": ("re-muxed", ""),
        "twin.mp4": ("re-muxed", ""),
        "again.mp4": ("encoded", ""),
        "uneven.webm": ("encoded", ""),
        "blinking.mp4": ("re-muxed", ""),
        "empty.mp4": ("refused", "it is empty"),
        "notes.txt": (
            "refused",
            "it cannot be read as a video: Invalid data found when processing input",
        ),
        "link.mp4": ("refused", "it is a link or a device, not a plain file"),
        "gone.mp4": ("refused", "the manifest names it, but it is not there"),
    }
    assert report["counts"]["taken"] == 5
    assert ingested.message == "5 of 9 files taken, 4 refused."
    assert (ingested.step, ingested.total) == (9, 9)


def test_the_rows_say_what_the_manifest_said_and_decoding_found(ingested: Run) -> None:
    plain = Video.objects.get(original_path="wan/plain.mp4")
    assert (plain.prompt.text, plain.generator.name, plain.seed) == ("a red square", "wan", 1)  # type: ignore[union-attr]
    assert (plain.fps, plain.num_frames, plain.width, plain.flashes) == (8, 6, 64, 0)
    assert len(plain.phash) == 32
    again = Video.objects.get(original_path="again.mp4")
    assert again.prompt.image is not None
    assert (again.prompt.text, again.prompt.image.width) == ("a red square", 64)
    assert Video.objects.get(original_path="blinking.mp4").generator is None


def test_a_varying_rate_is_found_and_people_see_a_constant_one(ingested: Run) -> None:
    uneven = Video.objects.get(original_path="uneven.webm")
    # 12 frames from 0 to 636 ms, and the last one lasts as long as most: 42 ms.
    assert uneven.num_frames == 12
    assert uneven.duration == pytest.approx(0.678, abs=0.002)
    assert uneven.fps == pytest.approx(12 / 0.678, rel=0.01)
    assert uneven.meta["constant_rate"] == pytest.approx(1 / 0.042, rel=0.03)
    shown = measured(media_storage().local(shown_key(uneven.sha256), ""))
    assert not shown.variable
    assert shown.codec == "h264"
    assert shown.fps == pytest.approx(uneven.meta["constant_rate"], rel=0.01)
    assert shown.duration == pytest.approx(uneven.duration, abs=0.06)
    assert shown.fps == pytest.approx(uneven.shown_fps, rel=0.01)
    assert abs(shown.num_frames - uneven.shown_frames) <= 1


def test_the_report_finds_the_same_bytes_the_same_looks_and_flashes(ingested: Run) -> None:
    report = report_of(ingested)
    assert [sorted(names) for names in report["same_bytes"]] == [["twin.mp4", "wan/plain.mp4"]]
    pairs = {frozenset((each["file"], each["other"])): each for each in report["alike"]}
    # Other bytes, other codec, and with an image another prompt: the same pictures.
    (twin,) = [each for names, each in pairs.items() if "again.mp4" in names]
    assert twin["same_prompt"] is False
    assert twin["bits"] <= 10
    assert report["flashing"] == ["blinking.mp4"]
    assert report["counts"]["flash more than three times a second"] == 1


def test_what_looks_like_a_clip_that_is_here_is_found(ingested: Run, incoming: Path) -> None:
    (incoming / "more").mkdir()
    hostile.clip(incoming / "more" / "copy.mp4", side=128, codec="mpeg4", rate=16)
    config = {"folder": "more", "prompt": "a red square"}
    report = report_of(play(start_run("ingest", config, user=None)))
    assert report["counts"]["known before"] == 0
    assert isinstance(report["alike"], list)


def test_the_same_import_again_adds_nothing(ingested: Run) -> None:
    before = Video.objects.count()
    again = play(start_run("ingest", ingested.config, user=None))
    assert Video.objects.count() == before
    assert report_of(again)["counts"]["known before"] == 5


def test_the_page_shows_each_file_and_gives_the_whole_report(ingested: Run, mia: Any) -> None:
    client = Client()
    client.force_login(mia)
    page = client.get(f"/runs/{ingested.pk}/").content.decode()
    for words in (
        "it is empty",
        "64x64, 6 frames at 8 per second",
        "flashes up to",
        "its rate varied",
        "Same bytes",
        "Look the same",
    ):
        assert words in page
    # The worst stands first.
    assert page.index("empty.mp4") < page.index("blinking.mp4") < page.index("wan/plain.mp4")
    artifact = ingested.artifacts.get()
    answer = client.get(f"/artifacts/{artifact.pk}/ingest.json")
    assert answer["Content-Disposition"] == f'attachment; filename="ingest-{ingested.pk}.json"'
    assert json.loads(answer.content)["counts"]["files"] == 9


def test_an_archive_is_unpacked_taken_and_removed(incoming: Path, tmp_path: Path) -> None:
    hostile.clip(tmp_path / "a.mp4")
    with zipfile.ZipFile(incoming / "clips.zip", "w") as archive:
        archive.write(tmp_path / "a.mp4", "deep/a.mp4")
        archive.writestr("list.jsonl", '{"path": "deep/a.mp4", "prompt": "a square", "seed": 7}\n')
    run = play(start_run("ingest", {"archive": "clips.zip", "manifest": "list.jsonl"}, user=None))
    video = Video.objects.get()
    assert (video.original_path, video.prompt.text, video.seed) == ("deep/a.mp4", "a square", 7)
    folder = path_of(run.artifacts.get()).parents[1]
    assert not (folder / "unpacked").exists()


def test_a_hostile_archive_fails_the_run_with_its_sentence(incoming: Path) -> None:
    with zipfile.ZipFile(incoming / "clips.zip", "w") as archive:
        archive.writestr("../a.mp4", b"x")
    run = start_run("ingest", {"archive": "clips.zip", "prompt": "a square"}, user=None)
    with pytest.raises(FormatError, match="leads out of its folder"):
        play(run)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "either a folder or a zip archive"),
        ({"folder": "batch", "archive": "x.zip", "prompt": "p"}, "either a folder or a zip"),
        ({"folder": "batch"}, "either a manifest or one prompt"),
        ({"folder": "batch", "prompt": "  "}, "either a manifest or one prompt"),
        ({"folder": "../..", "prompt": "p"}, "must lie below the folder for imports"),
        ({"folder": "/etc", "prompt": "p"}, "must lie below the folder for imports"),
        ({"folder": "out", "prompt": "p"}, "must lie below the folder for imports"),
        ({"folder": "a\0b", "prompt": "p"}, "must lie below the folder for imports"),
        ({"folder": "nowhere", "prompt": "p"}, "there is no folder incoming/nowhere"),
        ({"archive": "batch", "prompt": "p"}, "there is no file incoming/batch"),
        ({"folder": "batch", "manifest": "../secret.csv"}, "holds no manifest"),
        ({"folder": "batch", "manifest": "bad.csv"}, "bad.csv:2: the prompt is empty"),
        ({"folder": "batch", "manifest": "odd.csv"}, "nobody reads the column 'fail'"),
        ({"folder": "batch", "prompt": "p", "processes": 99}, "at most 64"),
        ({"folder": "batch", "promt": "p"}, "did you mean 'prompt'"),
    ],
)
def test_what_cannot_be_is_said_before_the_run_starts(
    incoming: Path, tmp_path: Path, config: dict[str, Any], words: str
) -> None:
    (incoming / "batch").mkdir()
    (incoming / "batch" / "bad.csv").write_text("path,prompt\na.mp4,\n")
    (incoming / "batch" / "odd.csv").write_text("path,prompt,fail\na.mp4,p,1\n")
    (incoming / "secret.csv").write_text("path,prompt\na.mp4,p\n")
    (incoming / "out").symlink_to(tmp_path)
    with pytest.raises(InvalidRunConfig, match=words):
        start_run("ingest", config, user=None)
    assert not Run.objects.exists()


def test_a_killed_run_goes_on_where_it_was(batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start_run("ingest", {"folder": "batch", "manifest": "manifest.csv"}, user=None)
    seen: list[str] = []
    settle = ingesting._row

    def dies(each: Any, found: Any, config: Any) -> Any:
        if len(seen) == 2:
            raise KeyboardInterrupt  # nothing of the run handles it: as good as a kill
        seen.append(each.name)
        return settle(each, found, config)

    monkeypatch.setattr(ingesting, "_row", dies)
    with pytest.raises(KeyboardInterrupt):
        play(run)
    journal = ingesting.run_journal(Path(_folder(run)))
    journal.write_bytes(journal.read_bytes() + b'{"file": "half a li')
    monkeypatch.setattr(
        ingesting, "_row", lambda each, *rest: seen.append(each.name) or settle(each, *rest)
    )
    lifecycle.put_back(Run.objects.get(pk=run.pk), "stopped", "test")
    done = play(Run.objects.get(pk=run.pk))
    assert sorted(seen) == sorted(set(seen))  # no clip was settled twice
    assert report_of(done)["counts"]["taken"] == 5


def _folder(run: Run) -> Path:
    from pipelines import launching

    return launching.run_dir(run).root


def test_a_run_that_shall_stop_stops_and_leaves_no_process(
    batch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_run("ingest", {"folder": "batch", "prompt": "p", "processes": 2}, user=None)
    pids: list[int] = []
    check = Supervised.check

    def stop(self: Supervised, save: Any = None) -> None:
        pids.extend(int(pid) for pid in children_of_this_process())
        self.dir.write_want("cancel")
        check(self, save)

    monkeypatch.setattr(Supervised, "check", stop)
    with pytest.raises(Exception, match="asked to cancel"):
        play(run)
    assert pids
    assert not [pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and is_taking(pid)]


def children_of_this_process() -> list[str]:
    found = [pid for task in Path("/proc/self/task").iterdir() for pid in _children(task)]
    return [pid for pid in found if is_taking(int(pid))]


def _children(task: Path) -> list[str]:
    return (task / "children").read_text().split()


def is_taking(pid: int) -> bool:
    from annotation.media import bounded

    own = bounded._shared[1]._process if bounded._shared else None
    if own is not None and own.pid == pid:
        return False  # that of this test process
    return b"bounded_child" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_clip_that_kills_its_child_is_refused_and_the_next_one_taken(
    incoming: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The child dies at every file whose name says so; its successor takes the others."""
    from annotation.media import bounded

    files = [hostile.clip(incoming / f"{n}.mp4", side=32 + 16 * n) for n in range(4)]
    killer = tmp_path / "child.py"
    killer.write_text(
        "import os\nfrom annotation.media import bounded_child\n"
        "answered = bounded_child._answered\n"
        "def dies(request):\n"
        "    said = answered(request)\n"
        "    if said['result']['width'] == 48: os._exit(9)\n"
        "    return said\n"
        "bounded_child._answered = dies\nbounded_child.serve()\n"
    )
    argv = [bounded.ARGV[0], "-I", str(killer)]
    monkeypatch.setattr(bounded.Bounded.__init__, "__defaults__", (argv,))
    with Taker(1) as taker:
        found = dict(each for each in taker.take(files) if each is not None)
    assert found[files[1]].refusal == "it brought down the process that reads it"
    assert [bool(found[path].kept) for path in files] == [True, False, True, True]


def test_leads_and_engineers_start_it_from_the_admin_with_an_upload(
    lee: Any, mia: Any, alice: Any, incoming: Path, tmp_path: Path
) -> None:
    hostile.clip(tmp_path / "a.mp4")
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        archive.write(tmp_path / "a.mp4", "a.mp4")
    data = (tmp_path / "clips.zip").read_bytes()
    path = "/admin/pipelines/run/add/?kind=ingest"
    for user in (lee, mia):
        client = Client()
        client.force_login(user)
        page = client.get(path).content.decode()
        assert 'enctype="multipart/form-data"' in page
        body = {
            "config": json.dumps({"prompt": "a square"}),
            "upload": SimpleUploadedFile("../../Clips of mine.ZIP", data),
        }
        assert client.post(path, body).status_code == 302
        run = Run.objects.order_by("-pk")[0]
        assert run.created_by == user
        assert run.config["archive"].startswith("uploads/")
        assert run.config["archive"].endswith(".zip")
        assert play(run).message == "1 of 1 files taken, 0 refused."
    client = Client()
    client.force_login(lee)
    snapshot = "/admin/pipelines/run/add/?kind=snapshot"
    assert client.get(snapshot).status_code == 403
    assert client.get(f"{path}&like={Run.objects.all()[0].pk}").status_code == 200
    client.force_login(alice)
    assert client.get(path).status_code == 403


def test_clips_of_an_import_are_ready_for_people_and_trainers(ingested: Run) -> None:
    store = media_storage()
    for video in Video.objects.all():
        assert store.exists(video.file)
        assert store.exists(shown_key(video.sha256))
        assert store.exists(poster_key(video.sha256))
    assert Prompt.objects.filter(text="nothing").count() == 0
    with pytest.raises(MediaError):
        measured(Path("nowhere.mp4"))


Clips = Callable[..., Path]
