"""Clips laid out as the official package wants them, and what it leaves there.

It reads the prompt, the start image and the wanted camera motion out of the names of files.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
