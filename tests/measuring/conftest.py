"""Generation sets of tiny clips, and runs that measure them in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.clip_files import write_clip
from formats.files import sha256_of
from formats.outcome import Outcome
from formats.records import GenerationRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.supervised import Supervised


def make_clip(path: Path, seed: int, frames: int = 4) -> None:
    rng = np.random.default_rng(seed)
    still = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    clip = np.stack([np.roll(still, seed * n, 1) for n in range(frames)])
    write_clip(path, np.ascontiguousarray(clip), fps=8)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three prompts with two seeds each. Gives generations.jsonl."""
    folder = tmp_path / "generations"
    (folder / "clips").mkdir(parents=True)
    records = []
    for number in range(6):
        name = f"clips/{number}.mp4"
        make_clip(folder / name, number)
        video = VideoRef(
            f"v{number}", name, sha256_of(folder / name), 8, 4, generator="tiny", seed=number % 2
        )
        records.append(GenerationRecord(f"p{number // 2}", f"prompt {number // 2}", "test", video))
    GenerationRecord.write(folder / "generations.jsonl", records)
    return folder / "generations.jsonl"


@pytest.fixture
def run_dir(clips: Path, tmp_path: Path) -> Callable[..., RunDir]:
    """A prepared run directory; keywords go to its config."""

    def prepared(name: str = "1", inputs: dict[str, Path] | None = None, **config: Any) -> RunDir:
        folder = RunDir(tmp_path / "runs" / name)
        given = {"generations": clips, **(inputs or {})}
        folder.prepare(
            config,
            {role: Input(str(path), sha256_of(path)) for role, path in given.items()},
            media_root=tmp_path / "media",
        )
        return folder

    return prepared


@pytest.fixture
def measured() -> Callable[[RunDir], dict[str, Any]]:
    """What a run leaves in vbench.json."""

    def measure_here(folder: RunDir) -> dict[str, Any]:
        from measuring.running import measure

        outcome: Outcome = measure(Supervised(folder))
        assert outcome.exit_code == 0
        (output,) = outcome.outputs
        assert sha256_of(folder.root / output.path) == output.sha256
        body: dict[str, Any] = json.loads((folder.root / output.path).read_text())
        return body

    return measure_here
