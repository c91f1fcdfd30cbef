"""How fast clips are taken in, against loops of ffmpeg over the same files on the same cores.

    python -m bench.ingest [--small 300] [--large 60] [--old 60] [--processes 2] [--rounds 3]
                           [--json FILE]

Three kinds of files, all made here: small H.264 clips as the demo has them (64x64, 8 frames), large
ones as generators make them (1280x720, 48 frames), and old ones that browsers do not play (MPEG-4,
320x240, 48 frames). Per round and kind, one after the other on equally many processes:

- ingest: the run itself, `manage.py perform`, from its start to its report; it copies, hashes,
  decodes, measures, looks for flashes, re-muxes or encodes, makes a poster, writes a row.
- bare: one ffmpeg per file that writes the file for the browser, and checks nothing.
- equal: what a careful script does: the same, after a full decode for errors and a hash, and with
  a first picture. It still has no limits, no perceptual hash, no flashes and no database.

The median of the rounds counts.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import imageio_ffmpeg

FFMPEG: Final = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y"]
COPY: Final = ["-map", "0:v:0", "-map_metadata", "-1", "-movflags", "+faststart"]
ENCODE: Final = ["-c:v", "libx264", "-crf", "12", "-preset", "fast", "-pix_fmt", "yuv420p"]
KINDS: Final = {
    "small": ("64x64", 8, ["-c:v", "libx264", "-pix_fmt", "yuv420p"]),
    "large": ("1280x720", 48, ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "fast"]),
    "old": ("320x240", 48, ["-c:v", "mpeg4", "-q:v", "3"]),
}
ROOT: Final = Path(__file__).parents[1]


def make(folder: Path, kind: str, count: int) -> None:
    """Clips that differ: a test picture behind noise of another seed for each."""
    size, frames, codec = KINDS[kind]
    folder.mkdir(parents=True)
    for number in range(count):
        source = f"testsrc2=s={size}:r=24,hue=h={number * 7 % 360},noise=alls=6:all_seed={number}"
        words = ["-f", "lavfi", "-i", source, "-frames:v", str(frames), *codec]
        subprocess.run([*FFMPEG, *words, str(folder / f"{number:04}.mp4")], check=True)


def ingest(files: list[Path], kind: str, processes: int) -> float:
    """Seconds of the whole child process of a fresh run."""
    from annotation.models import Video
    from pipelines import launching
    from pipelines.starting import start_run

    before = Video.objects.count()
    config = {"folder": files[0].parent.name, "prompt": kind, "processes": processes}
    run = start_run("ingest", config, user=None)
    folder = launching.prepare(run)
    started = time.perf_counter()
    argv = [sys.executable, str(ROOT / "manage.py"), "perform", str(folder.root)]
    subprocess.run(argv, check=True, env=os.environ, capture_output=True)
    seconds = time.perf_counter() - started
    taken = Video.objects.count() - before
    if taken != len(files):
        raise SystemExit(f"{taken} of {len(files)} clips were taken; nothing is measured")
    return seconds


def bare(file: Path, kind: str, out: Path) -> None:
    way = ENCODE if kind == "old" else ["-c", "copy"]
    subprocess.run([*FFMPEG, "-i", str(file), *COPY, *way, str(out)], check=True)


def equal(file: Path, kind: str, out: Path) -> None:
    hashlib.sha256(file.read_bytes()).hexdigest()
    subprocess.run([*FFMPEG, "-xerror", "-i", str(file), "-f", "null", "-"], check=True)
    bare(file, kind, out)
    picture = str(out.with_suffix(".jpg"))
    subprocess.run([*FFMPEG, "-i", str(file), "-frames:v", "1", picture], check=True)


def loop(
    files: list[Path], kind: str, processes: int, step: Callable[[Path, str, Path], None]
) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with ThreadPoolExecutor(processes) as pool:
            # One thread per ffmpeg: as many cores as the run has.
            list(pool.map(lambda file: step(file, kind, Path(folder) / file.name), files))
        return time.perf_counter() - started


def measure(kind: str, files: list[Path], processes: int, rounds: int) -> dict[str, Any]:
    from annotation.media.storage import media_storage
    from annotation.models import Video

    times: dict[str, list[float]] = {"ingest": [], "bare": [], "equal": []}
    for _ in range(rounds):
        times["ingest"].append(ingest(files, kind, processes))
        times["bare"].append(loop(files, kind, processes, bare))
        times["equal"].append(loop(files, kind, processes, equal))
        # The next round meets a store without them.
        Video.objects.all().delete()
        root = Path(media_storage().path(""))  # type: ignore[attr-defined]
        for each in ("videos", "shown", "posters"):
            subprocess.run(["rm", "-r", str(root / each)], check=True)
    rates = {name: len(files) / statistics.median(each) for name, each in times.items()}
    return {
        "kind": kind,
        "clips": len(files),
        **{f"{name}_per_second": rate for name, rate in rates.items()},
        "against_bare": rates["ingest"] / rates["bare"],
        "against_equal": rates["ingest"] / rates["equal"],
        "seconds": times,
    }


def set_up(folder: Path) -> None:
    """A site of its own in this folder."""
    os.environ |= {
        "TIEBREAK_VAR": str(folder),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "OMP_NUM_THREADS": "1",
    }
    for name in ("DATABASE_URL", "MEDIA_ROOT", "RUNS_ROOT", "MEDIA_STORAGE_URL"):
        os.environ.pop(name, None)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for kind, count in (("small", 300), ("large", 60), ("old", 60)):
        parser.add_argument(f"--{kind}", type=int, default=count)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tiebreak-bench-") as folder:
        set_up(Path(folder))
        rows = []
        print("kind   clips  ingest/s  bare/s  equal/s  against bare  against equal")
        for kind in KINDS:
            clips = Path(folder) / "media" / "incoming" / kind
            make(clips, kind, getattr(arguments, kind))
            row = measure(kind, sorted(clips.iterdir()), arguments.processes, arguments.rounds)
            rows.append(row)
            print(
                f"{kind:5}  {row['clips']:5}  {row['ingest_per_second']:8.1f}"
                f"  {row['bare_per_second']:6.1f}  {row['equal_per_second']:7.1f}"
                f"  {row['against_bare']:12.2f}  {row['against_equal']:13.2f}"
            )
    if arguments.json:
        figures = {"processes": arguments.processes, "rounds": arguments.rounds, "rows": rows}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
