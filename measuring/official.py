"""The official package of VBench, where an operator has installed it: each dimension a process.

It needs libraries of other versions than ours, so it lives in an environment of its own, whose
interpreter TIEBREAK_VBENCH_PYTHON names. Its weights lie in its own cache folder
(VBENCH_CACHE_DIR); nothing is downloaded by a run.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from formats.supervised import BadConfigError, Supervised
from formats.vbench_results import Value
from measuring.config import VBenchConfig
from measuring.journal import Key
from measuring.workplace import Task, Workplace

INTERPRETER: Final = "TIEBREAK_VBENCH_PYTHON"
_DRIVER: Final = Path(__file__).with_name("official_driver.py")
_LOOK_SECONDS: Final = 0.2
_PROBE_SECONDS: Final = 120
_GRACE_SECONDS: Final = 10
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)
# Below its cache folder, as its init_submodules looks for them in local mode.
_DINO: Final = ("dino_model/facebookresearch_dino_main", "dino_model/dino_vitbase16_pretrain.pth")
WEIGHTS: Final[Mapping[str, tuple[str, ...]]] = {
    "subject_consistency": _DINO,
    "background_consistency": ("clip_model/ViT-B-32.pt",),
    "motion_smoothness": ("amt_model/amt-s.pth",),
    "dynamic_degree": ("raft_model/models/raft-things.pth",),
    "aesthetic_quality": (
        "clip_model/ViT-L-14.pt",
        "aesthetic_model/emb_reader/sa_0_4_vit_l_14_linear.pth",
    ),
    "imaging_quality": ("pyiqa_model/musiq_spaq_ckpt-358bb6af.pth",),
    "i2v_subject": _DINO,
    "i2v_background": ("models",),  # where dreamsim looks, seen from the folder it is started in
}


def interpreter() -> str:
    return os.environ.get(INTERPRETER) or sys.executable


def refuse_not_installed(protocol: str, dimensions: Sequence[str]) -> Path:
    """The cache folder of the package; BadConfigError says in one sentence what to install."""
    found = _probed(protocol)
    if found["missing"]:
        raise BadConfigError(
            f"the official package measures {', '.join(dimensions)}, and {found['missing'][0]} is"
            f" not installed for {interpreter()}: put `pip install vbench` into an environment of"
            f" its own and name its interpreter in {INTERPRETER} (docs/vbench.md)"
        )
    cache = Path(found["cache"])
    for dimension in dimensions:
        for name in WEIGHTS.get(dimension, ()):
            if not (cache / name).exists():
                raise BadConfigError(
                    f"{dimension} needs the weights {name} below {cache}, and they are not there:"
                    " put them there, or name another folder in VBENCH_CACHE_DIR (docs/vbench.md)"
                )
    return cache


def _probed(protocol: str) -> dict[str, Any]:
    command = [interpreter(), "-I", str(_DRIVER), "--probe", protocol]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_SECONDS)
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        raise BadConfigError(
            f"{interpreter()} does not run as an interpreter of Python: {error}; {INTERPRETER} must"
            " name the one that has the official package"
        ) from error
    return found


def measured_by_package(
    run: Supervised, config: VBenchConfig, tasks: Sequence[Task]
) -> dict[str, tuple[Value, Mapping[Key, float]]]:
    """Each dimension with its values per clip; what an earlier attempt finished stays."""
    cache = refuse_not_installed(config.protocol, config.of_package)
    workplace = Workplace.prepared(run, config, tasks)
    found: dict[str, tuple[Value, Mapping[Key, float]]] = {}
    for number, dimension in enumerate(config.of_package, start=1):
        if not workplace.result(dimension).exists():
            _start_and_wait(run, workplace, dimension, cache)
        found[dimension] = workplace.read(dimension)
        run.dir.log_metrics(number, len(config.of_package), stage=f"VBench: {dimension}")
    return found


# The process.


def _start_and_wait(run: Supervised, workplace: Workplace, dimension: str, cache: Path) -> None:
    workplace.failure(dimension).unlink(missing_ok=True)
    command = [interpreter(), "-I", str(_DRIVER), str(workplace.write_job(dimension))]
    # Started in its cache folder: some of its parts look for weights where they are started.
    child = subprocess.Popen(
        command,
        cwd=cache if cache.is_dir() else workplace.root,
        env={**os.environ, "VBENCH_CACHE_DIR": str(cache)},
        stdin=subprocess.DEVNULL,
        preexec_fn=_tied_to(os.getpid()),  # noqa: PLW1509 - a system call, and our threads have ended
    )
    try:
        while child.poll() is None:
            run.check()
            time.sleep(_LOOK_SECONDS)
    finally:
        _end(child)
    _refuse_failure(workplace, dimension, child.returncode)
    workplace.fresh(dimension).replace(workplace.result(dimension))


def _refuse_failure(workplace: Workplace, dimension: str, code: int) -> None:
    if code == 0 and workplace.fresh(dimension).exists():
        return
    why = f"its process ended with {code}" if code else "it left no file of results"
    if workplace.failure(dimension).exists():
        why = json.loads(workplace.failure(dimension).read_text(encoding="utf-8"))["error"]
    raise RuntimeError(f"the official package failed on {dimension}: {why}")


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _tied_to(parent: int) -> Callable[[], None]:
    def tie() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return tie
