"""A very small backbone and a handful of clips, made once per process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from demo.tiny_tokenizer import tiny_tokenizer
from demo.tiny_vlm import TinySize, tiny_vlm
from formats.dimensions import VIDEOALIGN, DimensionSet
from formats.files import sha256_of
from formats.labels import Label
from formats.records import PreferenceRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.snapshot import write_snapshot

SMALL = TinySize(hidden=32, layers=1, heads=2, vision_width=32, vision_layers=2, vision_heads=2)
CORPUS = ["a red circle moving left on a dark background, rate the visual quality of the clip"]

# What a run of these tests needs on top of the defaults: small clips, few steps.
TINY_RUN = {
    "template": "brief",
    "language": "full",
    "vision": "full",
    "learning_rate": 1e-3,
    "vision_learning_rate": 1e-3,
    "head_learning_rate": 1e-3,
    "fps": 8.0,
    "min_pixels": 56 * 56,
    "max_pixels": 56 * 56,
    "steps": 4,
    "pairs_per_step": 4,
    "log_every": 1,
    "save_every": 2,
    "eval_every": 2,
    "bootstrap": 20,
    "threads": 1,
}


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return tiny_tokenizer(CORPUS, vocabulary=300)


@pytest.fixture(scope="session")
def small_vlm(tokenizer: Any) -> Callable[[str], Any]:
    return lambda family: tiny_vlm(family, tokenizer, size=SMALL)


@pytest.fixture(scope="session")
def backbone_folder(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: Any
) -> Callable[[str], Path]:
    """Folders with a saved backbone, one per family."""
    made: dict[str, Path] = {}

    def folder(family: str = "qwen2_vl") -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            tiny_vlm(family, tokenizer, size=SMALL).save_pretrained(made[family])
            tokenizer.save_pretrained(made[family])
        return made[family]

    return folder


def write_clip(path: Path, frames: np.ndarray, fps: int = 8) -> VideoRef:
    """An H.264 file of frames uint8 [T, H, W, 3]."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "10"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return VideoRef(path.stem, path.name, sha256_of(path), float(fps), len(frames))


def grey_clip(path: Path, level: int) -> VideoRef:
    return write_clip(path, np.full((9, 64, 64, 3), level, dtype=np.uint8))


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[VideoRef]]:
    """Eight clips, from dark to bright."""
    folder = tmp_path_factory.mktemp("media")
    return folder, [grey_clip(folder / f"clip{n}.mp4", 20 + 30 * n) for n in range(8)]


@pytest.fixture(scope="session")
def split_media(media: tuple[Path, list[VideoRef]]) -> dict[str, list[VideoRef]]:
    """The eight clips for each split, as files of their own: splits share nothing."""
    folder, clips = media
    held_out = {
        split: [grey_clip(folder / f"clip{n}-{split}.mp4", 20 + 30 * n + shade) for n in range(8)]
        for shade, split in ((1, "validation"), (2, "test"))
    }
    return {"train": clips, **held_out}


def record(
    number: int, prompt: str, a: VideoRef, b: VideoRef, split: str, word: Label | None
) -> PreferenceRecord:
    labels = {} if word is None else dict.fromkeys(VIDEOALIGN.keys, word)
    return PreferenceRecord(f"p{number:03}", prompt, split, a, b, labels)


@pytest.fixture
def records(split_media: dict[str, list[VideoRef]]) -> list[PreferenceRecord]:
    """Twelve pairs over six prompts in three splits; the brighter clip is the better one."""
    rows = []
    for number in range(12):
        split = ("train", "train", "train", "train", "validation", "test")[number // 2]
        clips = split_media[split]
        a, b = clips[number % 8], clips[(number * 3 + 1) % 8]
        word = Label.TIE if number % 4 == 3 else Label.A if a.id > b.id else Label.B
        rows.append(record(number, f"prompt {number // 2}", a, b, split, word))
    return rows


@pytest.fixture
def make_run(
    tmp_path: Path,
    media: tuple[Path, list[VideoRef]],
    records: list[PreferenceRecord],
    backbone_folder: Callable[[str], Path],
) -> Callable[..., RunDir]:
    """A prepared run directory of kind `reward_model`."""

    def make(
        name: str = "run",
        *,
        rows: list[PreferenceRecord] | None = None,
        dimensions: DimensionSet = VIDEOALIGN,
        family: str = "qwen2_vl",
        **config: Any,
    ) -> RunDir:
        snapshot = tmp_path / f"{name}-snapshot"
        sha256 = write_snapshot(snapshot, dimensions, records if rows is None else rows, {})
        run = RunDir(tmp_path / name)
        inputs = {
            "snapshot": Input(str(snapshot), sha256),
            "backbone": Input(str(backbone_folder(family))),
        }
        run.prepare({**TINY_RUN, **config}, inputs, media_root=media[0])
        return run

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def ready_folder(
    tmp_path_factory: pytest.TempPathFactory, backbone_folder: Callable[[str], Path]
) -> Path:
    """A small reward model (VQ, MQ, TA) that stands alone; not to be written to."""
    from tests.models_rm.ready_models import ready_model

    return ready_model(tmp_path_factory.mktemp("ready") / "m", backbone_folder(), VIDEOALIGN)
