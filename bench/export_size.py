"""A snapshot of 182,000 pairs with three votes each to Parquet: seconds and peak memory.

    python -m bench.export_size --json docs/benchmarks/export_size.json

Each way runs in a process of its own on the same made-up snapshot (three dimensions, three votes
per pair, 200 people). `ours` is the whole process of an export: Django, the check of every hash,
the staging folder, the commit. `plain` is what one would write in ten lines: read all lines, build
a list of rows, `pyarrow.Table.from_pylist`, `write_table`. `django` only starts, and shows what of
`ours` is the site's own.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from formats.dimensions import BUILT_IN
from formats.files import write_json
from formats.labels import CLASSES, Label
from formats.records import Opinion, PreferenceRecord, VideoRef
from formats.snapshot import write_snapshot

PAIRS: Final = 182_000
PEOPLE: Final = 200
CLIPS_OF_A_PROMPT: Final = 12
_KEYS: Final = BUILT_IN["videoalign"].keys
_MB: Final = 1024 * 1024


def records(pairs: int, seed: int = 1) -> Iterator[PreferenceRecord]:
    """Pairs as a campaign leaves them: three people, ties, and some pairs on which they split."""
    chance = random.Random(seed)
    for number in range(pairs):
        prompt = number // (CLIPS_OF_A_PROMPT // 2)
        clips = [_clip(prompt, chance.randrange(CLIPS_OF_A_PROMPT)) for _ in range(2)]
        people = chance.sample(range(PEOPLE), 3)
        said = [
            Opinion(f"annotator-{person:012x}", key, chance.choice(CLASSES))
            for person in people
            for key in _KEYS
        ]
        yield PreferenceRecord(
            pair_id=f"{chance.getrandbits(64):016x}",
            prompt=f"A scene, number {prompt}, in which a red square rolls past a blue circle.",
            split="train" if prompt % 10 else "test",
            video_a=clips[0],
            video_b=clips[1],
            labels=dict(_consensus(said)),
            posterior={key: _posterior(chance) for key in _KEYS},
            votes=3,
            judgements=said,
        )


def _clip(prompt: int, number: int) -> VideoRef:
    digest = f"{prompt * 1_000_003 + number * 7_919:064x}"
    path = f"clips/{digest[-2:]}/{digest}.mp4"
    return VideoRef(digest[-20:], path, digest, 24.0, 121, f"model-{number % 6}", number)


def _consensus(said: list[Opinion]) -> Iterator[tuple[str, Label]]:
    for key in _KEYS:
        labels = [each.label for each in said if each.dimension == key]
        most = max(CLASSES, key=labels.count)
        if labels.count(most) > 1:
            yield key, most


def _posterior(chance: random.Random) -> list[float]:
    parts = [chance.random() for _ in CLASSES]
    return [round(part / sum(parts), 6) for part in parts]


# What is measured, each in a process of its own.


def ours(snapshot: Path, target: Path) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from pipelines.exports.exporting import export
    from pipelines.models import Artifact

    artifact = Artifact(pk=1, sha256="0" * 64, meta={})
    return export(artifact, "parquet", target, source=snapshot).rows


def plain(snapshot: Path, target: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with (snapshot / "preferences.jsonl").open() as file:
        next(file)
        rows = [json.loads(line) for line in file]
    for row in rows:  # empty in all of them, of which pyarrow makes no column
        del row["scores_a"], row["scores_b"]
    pq.write_table(pa.Table.from_pylist(rows), target)
    return len(rows)


def django(_snapshot: Path, _target: Path) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django as of_the_site

    of_the_site.setup()
    return 0


WAYS: Final[dict[str, Callable[[Path, Path], int]]] = {
    "ours": ours,
    "plain": plain,
    "django": django,
}


def measure(way: str, snapshot: Path, target: Path) -> dict[str, Any]:
    """The whole process from its start: what a person waits for, and what a host must have."""
    began = time.monotonic()
    child = [sys.executable, "-m", "bench.export_size", "--way", way, str(snapshot), str(target)]
    answer = subprocess.run(child, check=True, capture_output=True, text=True)
    said: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return {
        **said,
        "seconds": round(time.monotonic() - began, 2),
        "file_mb": round(target.stat().st_size / _MB, 1) if target.exists() else 0.0,
    }


def _child(way: str, snapshot: Path, target: Path) -> None:
    rows = WAYS[way](snapshot, target)
    used = resource.getrusage(resource.RUSAGE_SELF)
    said = {
        "rows": rows,
        "peak_mb": round(_peak(), 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
    }
    sys.stdout.write(json.dumps(said) + "\n")


def _peak() -> float:
    """In MB. Of this program alone: `ru_maxrss` would keep what the parent had before exec."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--way", nargs=3, metavar=("WAY", "SNAPSHOT", "TARGET"))
    asked = parser.parse_args()
    if asked.way:
        return _child(asked.way[0], Path(asked.way[1]), Path(asked.way[2]))
    figures = _figures(asked.pairs, asked.times)
    if asked.json:
        write_json(asked.json, "bench/1", figures)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    return None


def _figures(pairs: int, times: int) -> dict[str, Any]:
    before = os.getloadavg()[0]
    with TemporaryDirectory(prefix="tiebreak-bench-") as folder:
        snapshot = Path(folder) / "snapshot"
        write_snapshot(snapshot, BUILT_IN["videoalign"], records(pairs), {})
        size = (snapshot / "preferences.jsonl").stat().st_size / _MB
        ways = {
            way: [measure(way, snapshot, Path(folder) / f"{way}-{n}.parquet") for n in range(times)]
            for way in WAYS
        }
    load = [before, os.getloadavg()[0]]
    return {
        "pairs": pairs,
        "snapshot_mb": round(size, 1),
        "cores": os.cpu_count(),
        "load": [round(each, 1) for each in load],
        "ways": ways,
    }


if __name__ == "__main__":
    main()
