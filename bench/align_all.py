"""All benchmarks of alignment, one after the other, on the same worlds: `make bench-align`.

    python -m bench.align_all [--pairs RUN_DIR...] [--only NAME...]

RUN_DIR are pairing runs of loops of the demo; without them three worlds are made (hours), in
build/bench/align, where a second call finds them again. Each benchmark is a child process and
writes its file in docs/benchmarks; the tables are written last.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.align_worlds import ROOT, made

FOLDER: Final = Path("docs/benchmarks")
KEPT: Final = Path("build/bench/align")
SEEDS: Final = (20, 21, 22)
# Speed first, while nothing else has warmed the machine.
NAMES: Final = (
    "align_speed", "align_memory", "align_families", "align_world", "align_guidance", "anime_world",
)  # fmt: skip


def worlds(given: Sequence[Path]) -> list[Path]:
    """The pairing runs, resolved; made where none is given."""
    if given:
        return [each.resolve() for each in given]
    folders = [KEPT.resolve() / f"world-{seed}" for seed in SEEDS]
    found = [made(folder, seed) for folder, seed in zip(folders, SEEDS, strict=True)]
    return [each.pairs.parents[1] for each in found]


def words_of(name: str, pairs: Sequence[Path]) -> list[str]:
    """The command of one benchmark, as its own page says it."""
    asked: dict[str, list[Any]] = {
        "align_speed": ["--pairs", *pairs[:1]],
        "align_world": ["--pairs", *pairs, "--keep", KEPT / "methods"],
        "align_guidance": ["--pairs", *pairs],
    }
    words = [f"bench.{name}", *asked.get(name, []), "--json", FOLDER / f"{name}.json"]
    return [str(each) for each in words]


def call(words: Iterable[str]) -> None:
    print("python -m", *words, flush=True)
    if subprocess.run([sys.executable, "-m", *words], cwd=ROOT).returncode:
        raise SystemExit(f"{next(iter(words))} failed; what it said stands above")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=Path, nargs="+", default=[], help="pairing runs")
    parser.add_argument("--only", choices=NAMES, nargs="+", default=list(NAMES))
    given = parser.parse_args()
    on_worlds = {"align_speed", "align_world", "align_guidance"} & set(given.only)
    pairs = worlds(given.pairs) if on_worlds else []
    for name in given.only:
        call(words_of(name, pairs))
        if name == "align_world":
            call(["bench.align_plot", "--keep", str(KEPT / "methods")])
    call(["bench.tables"])


if __name__ == "__main__":
    main()
