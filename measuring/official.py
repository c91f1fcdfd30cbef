"""The official package of VBench, where an operator has installed it: each dimension a process.

It needs libraries of other versions than ours, so it lives in an environment of its own, whose
interpreter TIEBREAK_VBENCH_PYTHON names. Its weights lie in its own cache folder
(VBENCH_CACHE_DIR); nothing is downloaded by a run.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from formats.errors import FormatError
from formats.files import write_atomically
from formats.records import GenerationRecord
from formats.supervised import BadConfigError, Supervised
from formats.vbench import IMAGE, PROTOCOLS
from formats.vbench_official import Measured, read_results
from formats.vbench_results import PACKAGE, Value
from measuring.config import VBenchConfig
from measuring.journal import Key

FOLDER: Final = "official"
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
CAMERA: Final = "camera_motion"
_CAMERA_WORDS: Final = (
    "camera pans left", "camera pans right", "camera tilts up", "camera tilts down",
    "camera zooms in", "camera zooms out", "camera static",
)  # fmt: skip
_IMAGES: Final = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True, slots=True)
class Task:
    """A clip that can be read."""

    path: Path
    record: GenerationRecord

    @property
    def key(self) -> Key:
        return self.record.video.id, self.record.prompt


def interpreter() -> str:
    return os.environ.get(INTERPRETER) or sys.executable


def refuse_not_installed(protocol: str, dimensions: Sequence[str]) -> Path:
    """The cache folder of the package; BadConfigError says in one sentence what to install."""
    found = _probed(protocol)
    if found["missing"]:
        raise BadConfigError(
            f"the official package measures {', '.join(dimensions)}, and {found['missing'][0]} is not"
            f" installed for {interpreter()}: put `pip install vbench` into an environment of its"
            f" own and name its interpreter in {INTERPRETER} (docs/vbench.md)"
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


@dataclass(frozen=True, slots=True)
class Workplace:
    """A folder of clips under names that the package accepts, and what it leaves there."""

    root: Path
    config: VBenchConfig
    names: Mapping[str, Task]  # file name of a clip

    @classmethod
    def prepared(cls, run: Supervised, config: VBenchConfig, tasks: Sequence[Task]) -> "Workplace":
        root = run.dir.root / FOLDER
        names = {_name(number, task, config): task for number, task in enumerate(tasks)}
        for folder in ("videos", "images"):
            shutil.rmtree(root / folder, ignore_errors=True)
            (root / folder).mkdir(parents=True)
        for name, task in names.items():
            (root / "videos" / name).symlink_to(task.path.resolve())
            if _wants_images(config):
                image = _image(task, run.dir.media_root())
                target = root / "images" / f"{Path(name).stem}{image.suffix.lower()}"
                target.symlink_to(image.resolve())
        return cls(root, config, names)

    def result(self, dimension: str) -> Path:
        return self.root / f"{dimension}_eval_results.json"

    def failure(self, dimension: str) -> Path:
        return self.root / f"{dimension}_failure.json"

    def write_job(self, dimension: str) -> Path:
        job = {
            "protocol": self.config.protocol,
            "dimension": dimension,
            "device": self.config.device,
            "name": f"fresh_{dimension}",
            "videos": str(self.root / "videos"),
            "images": str(self.root / "images") if _wants_images(self.config) else None,
            "prompts": {name: task.record.prompt for name, task in self.names.items()},
            "output": str(self.root),
            "failure": str(self.failure(dimension)),
        }
        path = self.root / f"{dimension}_job.json"
        write_atomically(path, [json.dumps(job, ensure_ascii=False).encode()])
        return path

    def fresh(self, dimension: str) -> Path:
        """What a process leaves; renamed when it has ended well, so that it is whole."""
        return self.root / f"fresh_{dimension}_eval_results.json"

    def read(self, dimension: str) -> tuple[Value, dict[Key, float]]:
        path = self.result(dimension)
        protocol = PROTOCOLS[self.config.protocol]
        measured = read_results([(path.name, path.read_bytes())], protocol).measured
        if set(measured) != {dimension}:
            raise FormatError(f"expected {dimension} alone, found {sorted(measured)}", path=path)
        of_clips = self._of_clips(measured[dimension], path)
        return Value(measured[dimension].raw, PACKAGE, len(of_clips)), of_clips

    def _of_clips(self, measured: Measured, path: Path) -> dict[Key, float]:
        found = {}
        for video, value in measured.of_videos.items():
            name = Path(video).name
            if name not in self.names:
                raise FormatError(f"the package measured an unknown video {name!r}", path=path)
            found[self.names[name].key] = value
        missing = [task for task in self.names.values() if task.key not in found]
        if missing:
            raise FormatError(
                f"the package measured {len(found)} of {len(self.names)} clips; the first without"
                f" {measured.key} is {missing[0].record.video.id!r}",
                path=path,
            )
        return found


def _name(number: int, task: Task, config: VBenchConfig) -> str:
    """No name ends like `-3`: the package would take that for the number of a sample."""
    words = _camera_words(task) if CAMERA in config.dimensions else ""
    return f"clip{number:06d}{words}.mp4"


def _camera_words(task: Task) -> str:
    """The package reads the wanted motion out of the file's name."""
    prompt = task.record.prompt.lower()
    found = next((words for words in _CAMERA_WORDS if words in prompt), None)
    if found is None:
        raise BadConfigError(
            f"{CAMERA} needs prompts that say one of: {', '.join(_CAMERA_WORDS)}; the prompt"
            f" {task.record.prompt[:60]!r} says none"
        )
    return f" {found}"


def _wants_images(config: VBenchConfig) -> bool:
    benchmark = PROTOCOLS[config.protocol]
    return any(benchmark.get(key).group == IMAGE for key in config.of_package)


def _image(task: Task, media_root: Path) -> Path:
    image = task.record.image
    if image is None:
        raise BadConfigError(
            f"VBench-I2V compares clips with their start images, and the clip"
            f" {task.record.video.id!r} has none"
        )
    path = media_root / image.path
    if path.suffix.lower() not in _IMAGES:
        raise BadConfigError(
            f"the start image {image.path} is no {', '.join(sorted(_IMAGES))} file; the official"
            " package reads no other"
        )
    return path


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
