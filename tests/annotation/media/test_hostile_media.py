"""Files of strangers cannot reach out, cost much, get into a command line, or hide (M1-M4)."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from landlockpy import abi_version

from annotation.errors import MediaError
from annotation.media import bounded, cage
from annotation.media.bounded import Bounded, Limits
from annotation.media.checks import check_kernel
from annotation.media.keeping import (
    keep_clip,
    measured,
    poster_key,
    quarantined,
    shown_path,
    store_video,
)
from annotation.media.probing import Clip
from annotation.media.renditions import transcode_argv
from annotation.media.storage import media_storage
from annotation.models import Prompt, Video
from tests.annotation import hostile_media as hostile
from tests.conftest import unavailable

pytestmark = pytest.mark.one_engine
SECRET = "canary-3f9c1d"


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[int, list[str]]]:
    """A server that no file may make us ask. Gives (port, what was asked)."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


@pytest.mark.promise("M1")
def test_no_file_makes_us_open_another_one(
    db: None, listener: tuple[int, list[str]], tmp_path: Path, settings: Any, figures: Any
) -> None:
    port, asked = listener
    canary, segment = tmp_path / "canary.txt", tmp_path / "segment.ts"
    canary.write_text(SECRET * 50)
    hostile.clip(segment, kind="mpegts")
    files = hostile.naming_others(port, canary, segment)
    assert len(files) >= 24
    for name, make in files.items():
        path = tmp_path / name
        make(path)
        with pytest.raises(MediaError) as refusal:
            store_video(path, prompt=Prompt(text="never saved"))
        assert SECRET not in str(refusal.value), name
        # Should one ever pass the probe, the encoder would not follow it either.
        output = tmp_path / "out.mp4"
        # (The one with an attachment has pictures of its own.)
        assert name == "attachment.mkv" or not encodes(path, output), name
        assert not output.exists() or SECRET.encode() not in output.read_bytes(), name
    assert asked == []
    stored = [each for each in Path(settings.MEDIA_ROOT).rglob("*") if each.is_file()]
    assert stored == []
    figures("M1", files=len(files), refused=len(files), listener_hits=len(asked))


def encodes(path: Path, target: Path) -> bool:
    """Whether ffmpeg, asked as we ask it, makes a clip of this file that has pictures."""
    target.unlink(missing_ok=True)
    clip = Clip(8, 6, 64, 64, 0.75, "h264", "yuv444p", rate=8)
    subprocess.run(transcode_argv(path, target, clip), env={}, capture_output=True, timeout=30)
    try:
        return bool(target.exists() and measured(target).num_frames)
    except MediaError:
        return False


@pytest.mark.promise("M2")
@pytest.mark.parametrize("name", hostile.BOMBS)
def test_a_bomb_is_refused_in_time_and_the_next_clip_is_taken(
    db: None, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.mp4"
    hostile.BOMBS[name](path)
    assert path.stat().st_size < 1_000_000
    started = time.monotonic()
    with pytest.raises(MediaError) as refusal:
        store_video(path, prompt=Prompt(text="never saved"))
    assert time.monotonic() - started < 30
    assert "\n" not in str(refusal.value)
    assert measured(hostile.clip(tmp_path / "good.mp4")).num_frames == 6


# In a process of its own, because what is read at its end is of all that it ever waited for.
PROBING = """
import os, resource, sys
from pathlib import Path

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
from annotation.media.bounded import Bounded
from annotation.errors import MediaError

with Bounded() as own:
    for name in sys.argv[1:]:
        try:
            own.probe(Path(name))
        except MediaError:
            continue
        sys.exit(f"{name} was taken for a clip")
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.promise("M2")
def test_no_bomb_took_more_memory_than_it_may(tmp_path: Path, figures: Any) -> None:
    paths = []
    for name, make in hostile.BOMBS.items():
        paths.append(tmp_path / f"{name}.mp4")
        make(paths[-1])
    probing = [sys.executable, "-c", PROBING, *map(str, paths)]
    said = subprocess.run(probing, capture_output=True, text=True, check=True, timeout=120)
    assert int(said.stdout) < 1.4e6  # kB
    figures("M2", bombs=len(paths), refused=len(paths), peak_mb=int(said.stdout) // 1000)


MISBEHAVING = """
import os, signal, socket, sys, time
from annotation.media import bounded_child

def misbehave(how):
    if how == "spin":
        while True: pass
    if how == "sleep": time.sleep(3600)
    if how == "eat": return {"eaten": sum(len(bytearray(64 << 20)) for _ in [0] * 64 if KEPT.append(bytearray(64 << 20)) is None)}
    if how == "environment": return {"environment": dict(os.environ), "group": os.getpgid(0) == os.getpid()}
    if how == "raise": raise RuntimeError("odd file")
    if how == "segfault": os.kill(os.getpid(), signal.SIGSEGV)
    if how == "read": return {"read": open(sys.argv[1]).read()}
    if how == "write": open(sys.argv[1], "w")
    if how == "run": os.execv("/bin/cat", ["cat", sys.argv[1]])
    if how == "signal": os.kill(os.getppid(), 0)
    if how == "connect": socket.create_connection(("127.0.0.1", int(sys.argv[2])), 2)
    if how == "name": return {"address": socket.gethostbyname("example.org")}
    if how == "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53))
    if how == "child": os.fork() or time.sleep(3600); return {}
    return {}

KEPT = []
if "--no-cage" in sys.argv:
    bounded_child.cage.shut = lambda readable, writable: None
    bounded_child.cage.leave_the_network = lambda: False
bounded_child.TASKS["misbehave"] = misbehave
bounded_child.serve()
"""  # noqa: E501  a script, not our code


def misbehaves(folder: Path, port: int = 0, *more: str) -> Bounded:
    script, secret = folder / "misbehaving.py", folder / "secret.txt"
    script.write_text(MISBEHAVING)
    secret.write_text(SECRET)
    return Bounded([sys.executable, "-I", str(script), str(secret), str(port), *more])


@pytest.fixture
def misbehaving(tmp_path: Path) -> Iterator[Bounded]:
    with misbehaves(tmp_path) as own:
        yield own


@pytest.mark.promise("M2")
@pytest.mark.parametrize(
    ("how", "limit", "words"),
    [
        ("spin", "cpu", "needs more than 1 s of processor time"),
        ("sleep", "wall", "took longer than 2 s"),
        ("eat", "memory", "needs more memory than we give"),
        ("segfault", "crash", "brought its decoder down (SIGSEGV)"),
        ("raise", None, "cannot be read: RuntimeError: odd file"),
    ],
)
def test_whatever_a_decoder_does_is_an_answer(
    misbehaving: Bounded, how: str, limit: str | None, words: str
) -> None:
    # On a busy machine a second of processor time may take long.
    wall = 2 if how == "sleep" else 60
    limits = Limits(cpu_seconds=1, wall_seconds=wall, memory_bytes=256 << 20)
    assert misbehaving.ask("misbehave", how, limits=limits) == (
        {"refused": words} | ({"limit": limit} if limit else {})
    )
    assert "result" in misbehaving.ask("misbehave", "nothing", limits=limits)


def test_what_decodes_sees_no_secret_and_leaves_no_process(
    misbehaving: Bounded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("DATABASE_URL", "postgresql://x:y@z/w")
    limits = Limits(cpu_seconds=5, wall_seconds=60, memory_bytes=256 << 20)
    seen = misbehaving.ask("misbehave", "environment", limits=limits)["result"]
    assert set(seen["environment"]) <= {
        "PATH", "LANG", "LC_CTYPE", "TIEBREAK_RUN_TAG", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"
    }  # fmt: skip
    assert seen["group"] is True
    server = misbehaving._running().pid
    misbehaving.ask("misbehave", "child", limits=Limits(1, 1, 256 << 20))
    assert Path(f"/proc/{server}/task/{server}/children").read_text() == ""


@pytest.fixture
def own_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


REACHING = ("read", "write", "run", "connect", *(["signal"] if abi_version() >= 6 else []))


def reached(own: Bounded, secret: Path) -> list[str]:
    """What a decoder that somebody has taken over can still do."""
    limits = Limits(cpu_seconds=5, wall_seconds=20, memory_bytes=256 << 20)
    answers = {how: own.ask("misbehave", how, limits=limits) for how in REACHING}
    done = [how for how, answer in answers.items() if "result" in answer]
    return [*done, *(["write"] if secret.read_text() != SECRET else [])]


def needs_landlock() -> None:
    if not cage.is_supported():
        unavailable("this kernel has no Landlock (Linux 5.13 or later has)")


@pytest.mark.promise("M1")
@pytest.mark.promise("M2")
def test_a_decoder_that_was_taken_over_reaches_nothing(tmp_path: Path, own_port: int) -> None:
    needs_landlock()
    with misbehaves(tmp_path, own_port) as own:
        assert reached(own, tmp_path / "secret.txt") == []
        limits = Limits(cpu_seconds=5, wall_seconds=20, memory_bytes=256 << 20)
        for how in ("name", "udp"):
            answer = own.ask("misbehave", how, limits=limits)
            # Without the right to make a network of its own, datagrams are the container's to stop.
            assert "refused" in answer or how == "udp"
        # What it may do, it still does, behind the same walls.
        assert own.probe(hostile.clip(tmp_path / "good.mp4")).num_frames == 6


@pytest.mark.mutant("M1")
def test_without_its_cage_it_reads_writes_and_calls_home(tmp_path: Path, own_port: int) -> None:
    with misbehaves(tmp_path, own_port, "--no-cage") as own:
        assert set(reached(own, tmp_path / "secret.txt")) >= {"read", "connect", "write"}


def test_a_server_that_dies_in_the_middle_is_an_answer(misbehaving: Bounded) -> None:
    limits = Limits(cpu_seconds=5, wall_seconds=60, memory_bytes=256 << 20)
    misbehaving.ask("misbehave", "nothing", limits=limits)
    threading.Timer(0.5, misbehaving.kill).start()
    answer = misbehaving.ask("misbehave", "sleep", limits=limits)
    assert answer == {"limit": "crash", "refused": "brought down the process that reads it"}
    assert "result" in misbehaving.ask("misbehave", "nothing", limits=limits)


def test_a_kernel_without_landlock_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cage, "is_supported", lambda: True)
    assert check_kernel() == []
    monkeypatch.setattr(cage, "is_supported", lambda: False)
    (warning,) = check_kernel()
    assert warning.id == "annotation.W001"


def test_a_forked_process_does_not_speak_on_its_parents_line() -> None:
    ours = bounded.shared()
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"1" if bounded.shared() is not ours else b"0")
        os._exit(0)
    os.wait()
    assert os.read(reader, 1) == b"1"


@pytest.mark.promise("M3")
@pytest.mark.parametrize("name", hostile.NAMES)
def test_no_name_reaches_a_command(db: None, name: str, tmp_path: Path, settings: Any) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir()
    hostile.clip(tmp_path / "plain.mp4", codec="mpeg4").rename(path)
    with quarantined(path) as (file, _):
        argv = transcode_argv(file, file.with_name("shown.mp4"), measured(path))
        root = f"file:{Path(settings.MEDIA_ROOT).resolve()}/quarantine/"
        given = [word for word in argv if word.startswith(root)]
        assert len(given) == 2
        assert [word if word not in given else "PATH" for word in argv[1:]] == TEMPLATE
    kept = keep_clip(path, measured(path))
    assert kept.file == f"videos/{kept.sha256[:2]}/{kept.sha256}.mp4"
    names = {each.name for each in Path(settings.MEDIA_ROOT).rglob("*") if each.is_file()}
    assert names == {f"{kept.sha256}.mp4", f"{kept.sha256}.jpg"}
    assert not (Path.cwd() / "owned").exists()


TEMPLATE = (  # noqa: SIM905  as it would be typed
    "-codec_whitelist h264,hevc,vp8,vp9,libvpx-vp9,av1,libdav1d,mpeg4,mpeg2video,mpeg1video,"
    "prores,mjpeg,ffv1,png -format_whitelist mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
    " -protocol_whitelist file -threads 1 -i PATH -filter_complex"
    " [0:v]setpts=N/(8.000000*TB)[s0];[s0]scale=trunc(iw/2)*2:trunc(ih/2)*2[s1] -map [s1]"
    " -f mp4 -crf 12 -fs 1073741824 -map_chapters -1 -map_metadata -1 -pix_fmt yuv420p"
    " -preset fast -r 8.000000 -threads 1 -vcodec libx264 PATH -nostdin -hide_banner"
    " -loglevel error -y"
).split()


@pytest.mark.parametrize("name", ["a\0b.mp4", "y" * 300 + ".mp4"])
def test_a_name_that_no_file_can_have_is_refused(db: None, name: str, tmp_path: Path) -> None:
    with pytest.raises((MediaError, OSError, ValueError)):
        store_video(tmp_path / name, prompt=Prompt(text="never saved"))
    assert not Video.objects.exists()


@pytest.mark.promise("M4")
@pytest.mark.parametrize("encoded", [False, True], ids=["re-muxed", "encoded"])
@pytest.mark.parametrize("name", hostile.POLYGLOTS)
def test_what_hides_in_a_clip_stays_behind(
    db: None, name: str, encoded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "polyglot.mp4"
    hostile.POLYGLOTS[name](path)
    assert hostile.PAYLOAD in path.read_bytes()
    clip = measured(path)
    if encoded:
        clip = Clip(clip.fps, clip.num_frames, 64, 64, clip.duration, "hevc", "yuv420p", rate=8)
    kept = keep_clip(path, clip)
    video = Video(sha256=kept.sha256, file=kept.file)
    shown = shown_path(video).read_bytes()
    store = media_storage()
    poster = b"".join(store.read(poster_key(kept.sha256), 0, 1 << 20))
    for part in (hostile.PAYLOAD[:20], b"secret", b"<script", b"PK\x03\x04", b"Lavc", b"x264"):
        assert part not in shown, part
        assert part not in poster, part
    assert measured(shown_path(video)).num_frames == clip.num_frames
