"""What a process costs before and behind its work: processor time to start, and to end.

    python -m bench.starts [--turns 7] [--json FILE]

Each trainer is started and ended as its package does (`trainers.bodies`, `formats.supervised`), and
beside it, in turns, plainly: import the same module, and let Python take its interpreter apart.
torch alone is the floor. Nothing is trained. A worker of the site is loaded as Django would load it
without our settings for that: with the pages of the admin, and looking for garbage meanwhile.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

BODIES: Final = {
    "train a reward model": "models_rm.training.run:train",
    "score clips": "models_rm.scores.run:score",
    "train an adapter": "models_align.training:train",
    "sample clips": "models_align.sampling:sample",
}
_OURS: Final = (
    "import sys\n"
    "from formats.supervised import end_process\n"
    "from trainers.bodies import imported\n"
    "imported(sys.argv[1])\n"
    "end_process(0)"
)
_PLAIN: Final = "import sys, pkgutil\npkgutil.resolve_name(sys.argv[1])"
_FLOOR: Final = "import torch"
_SITE: Final = "import django\ndjango.setup()\nimport pipelines.worker"
_PLAIN_SITE: Final = (
    "from django.apps import AppConfig\n"
    "from config.loading import LoadingConfig\n"
    "LoadingConfig.__init__, LoadingConfig.ready = AppConfig.__init__, AppConfig.ready\n"
    "import django\n"
    "django.setup()\n"
    "from django.contrib import admin\n"
    "admin.autodiscover()\n"
    "import pipelines.worker"
)


def processor_seconds(program: str, *words: str) -> float:
    """User and system time of one process from its start to its end."""
    child = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        env={
            **os.environ, "OMP_NUM_THREADS": "1", "DJANGO_SETTINGS_MODULE": "config.settings",
        },
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{words or program} ended with {child.returncode}")
    return used.ru_utime + used.ru_stime


def measured(turns: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, list[float]]] = {
        name: {"plain": [], "ours": []} for name in BODIES
    } | {"a worker of the site": {"plain": [], "ours": []}, "torch alone": {"plain": []}}
    for turn in range(turns + 1):
        for name, body in BODIES.items():
            plain, ours = processor_seconds(_PLAIN, body), processor_seconds(_OURS, body)
            if turn:  # the first one reads the libraries from the disk
                found[name]["plain"].append(plain)
                found[name]["ours"].append(ours)
        plain, ours = processor_seconds(_PLAIN_SITE), processor_seconds(_SITE)
        floor = processor_seconds(_FLOOR)
        if turn:
            found["a worker of the site"]["plain"].append(plain)
            found["a worker of the site"]["ours"].append(ours)
            found["torch alone"]["plain"].append(floor)
    return {
        name: {way: round(statistics.median(values), 2) for way, values in each.items()}
        for name, each in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    starts = measured(given.turns)
    for name, each in starts.items():
        print(f"{name:<24}" + "  ".join(f"{way} {value:.2f} s" for way, value in each.items()))
    if given.json:
        found = {"turns": given.turns, "starts": starts}
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
