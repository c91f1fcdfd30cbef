"""A tiny untrained generator on disk, and run directories that use it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
import torch
from PIL import Image

from demo.tiny_generator import TinySize, build_pipeline
from formats.dimensions import Dimension, DimensionSet
from formats.files import sha256_of
from formats.labels import Label
from formats.records import ImageRef, PairRecord, PreferenceRecord, PromptRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.snapshot import write_snapshot
from models_align.generators.tiny import build
from models_align.generators.wan import WanGenerator, load_wan
from models_align.video import write_clip
from tests.models_align.families import some_clips

CORPUS = ["a red circle moving left on a dark background", "two blue bars moving up"]


@pytest.fixture(scope="session")
def tiny_wan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained pipeline as pretraining would leave it; smaller."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny-wan")
    size = TinySize(z_dim=6, heads=1, layers=1, ffn=32, text_dim=16, text_tokens=16)
    pipeline = build_pipeline(size, CORPUS, seed=0)
    # The last layer starts at zero; a generator that learned something has moved it.
    torch.nn.init.normal_(pipeline.transformer.proj_out.weight, std=0.1)
    pipeline.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_form(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny random pipeline, by the name of its form."""
    torch.set_num_threads(1)
    made: dict[str, Path] = {}

    def folder(form: str) -> Path:
        if form not in made:
            made[form] = tmp_path_factory.mktemp(form)
            build(form).save_pretrained(str(made[form]))
        return made[form]

    return folder


@pytest.fixture
def tiny_wan(tiny_wan_folder: Path) -> WanGenerator:
    return load_wan(tiny_wan_folder)


def moving_square(colour: tuple[int, int, int], seed: int) -> np.ndarray:
    """A clip [9, 64, 64, 3]: a square that moves to the right over a noisy ground."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(90, 110, size=(9, 64, 64, 3), dtype=np.uint8)
    for t in range(9):
        frames[t, 20:40, 4 + 4 * t : 24 + 4 * t] = colour
    return frames


@pytest.fixture
def write_pairs(tmp_path: Path) -> Callable[..., Path]:
    """Writes `count` pairs with their clips below tmp_path/media; gives pairs.jsonl."""

    def clip(name: str, colour: tuple[int, int, int], seed: int) -> VideoRef:
        path = tmp_path / "media" / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_clip(path, moving_square(colour, seed), fps=8)
        return VideoRef(name, path.name, sha256_of(path), fps=8.0, num_frames=9)

    def write(count: int = 4, split: str = "train") -> Path:
        pairs = [
            PairRecord(
                pair_id=f"pair-{n}",
                prompt_id=f"prompt-{n % 2}",
                prompt=CORPUS[n % 2],
                split=split,
                chosen=clip(f"w{n}", (220, 45, 40), 2 * n),
                rejected=clip(f"l{n}", (45, 75, 225), 2 * n + 1),
                gap=1.0 + n,
                reward_w=0.6 + 0.1 * (n % 3),
                reward_l=0.2,
                source="rewards",
            )
            for n in range(count)
        ]
        PairRecord.write(tmp_path / "pairs.jsonl", pairs)
        return tmp_path / "pairs.jsonl"

    return write


@pytest.fixture
def alignment_run(
    tmp_path: Path, tiny_wan_folder: Path, write_pairs: Callable[..., Path]
) -> Callable[..., RunDir]:
    """Prepares a run directory of kind alignment: alignment_run("a", {...config...})."""

    def prepare(name: str, config: dict[str, Any], pairs: Path | None = None) -> RunDir:
        file = pairs or write_pairs()
        run = RunDir(tmp_path / name)
        inputs = {
            "pairs": Input(str(file), sha256_of(file)),
            "generator": Input(str(tiny_wan_folder)),
        }
        small = {"lora": {"r": 2, "alpha": 4}, "lr": 1e-3, "steps": 4, "pairs_per_step": 3}
        run.prepare({**small, **config}, inputs, media_root=tmp_path / "media")
        return run

    return prepare


@pytest.fixture
def generation_run(tmp_path: Path, tiny_wan_folder: Path) -> Callable[..., RunDir]:
    """Prepares a run directory of kind generation: generation_run("g", {...config...})."""

    def prepare(name: str, config: dict[str, Any], prompts: int = 3, **inputs: Input) -> RunDir:
        file = tmp_path / f"{name}-prompts.jsonl"
        texts = [f"a red circle moving {n}" for n in range(prompts)]
        PromptRecord.write(file, [PromptRecord(f"p{n}", text) for n, text in enumerate(texts)])
        run = RunDir(tmp_path / name)
        small = {"steps": 2, "guidance_scale": 2.0, "height": 64, "width": 64, "num_frames": 9,
                 "fps": 8, "batch": 2, "generator": "tiny"}  # fmt: skip
        run.prepare(
            {**small, **config},
            {
                "prompts": Input(str(file), sha256_of(file)),
                "generator": Input(str(tiny_wan_folder)),
                **inputs,
            },
        )
        return run

    return prepare


@pytest.fixture
def family_run(tmp_path: Path) -> Callable[..., RunDir]:
    """Prepares an alignment run of a tiny form: family_run("a", folder, {...config...}).

    Two pairs of clips of the tiny size, each with a start image of its own.
    """

    def clip(name: str, frames: np.ndarray) -> VideoRef:
        path = tmp_path / "media" / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_clip(path, frames, fps=8)
        return VideoRef(name, path.name, sha256_of(path), fps=8.0, num_frames=len(frames))

    def start(number: int) -> ImageRef:
        path = tmp_path / "media" / f"start-{number}.png"
        Image.fromarray(some_clips(1, seed=number)[0, 0].numpy()).save(path)
        return ImageRef(path.name, sha256_of(path))

    def prepare(name: str, folder: Path, config: dict[str, Any], *, images: bool = False) -> RunDir:
        pairs = []
        for number in range(2):
            frames = some_clips(2, seed=10 + number).numpy()
            chosen, rejected = (clip(f"{side}{number}", frames[n]) for n, side in enumerate("wl"))
            image = start(number) if images else None
            pairs.append(PairRecord(
                f"pair-{number}", f"prompt-{number}", CORPUS[number], "train", chosen, rejected,
                gap=1.0, reward_w=0.8, reward_l=0.3, source="rewards", image=image,
            ))  # fmt: skip
        file = tmp_path / f"{name}-pairs.jsonl"
        inputs = {"pairs": Input(str(file), PairRecord.write(file, pairs)),
                  "generator": Input(str(folder))}  # fmt: skip
        run = RunDir(tmp_path / name)
        small = {"lora": {"r": 2, "alpha": 4}, "lr": 1e-2, "steps": 2, "pairs_per_step": 2}
        run.prepare({**small, **config}, inputs, media_root=tmp_path / "media")
        return run

    return prepare


@pytest.fixture
def read_logs() -> Callable[[RunDir], list[dict[str, float]]]:
    """The values of the training stage, in order."""

    def read(run: RunDir) -> list[dict[str, float]]:
        lines = run.metrics_from(0)[0]
        return [line.values for line in lines if line.stage == "training"]

    return read


@pytest.fixture(scope="session")
def judged_squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips in media/ and a snapshot of what people said about them.

    `red`: red is better than blue, two of a colour are a tie. `odd`: nobody could say.
    """
    root = tmp_path_factory.mktemp("squares")
    colours = {"red": (220, 45, 40), "blue": (45, 75, 225)}
    clips: dict[tuple[str, int], VideoRef] = {}
    for number in range(12):
        for colour, value in colours.items():
            path = root / "media" / f"{colour}-{number}.mp4"
            path.parent.mkdir(exist_ok=True)
            write_clip(path, moving_square(value, 50 + number), fps=8)
            clips[colour, number] = VideoRef(path.stem, path.name, sha256_of(path), 8.0, 9)
    records = []
    for number in range(12):
        split = "train" if number < 8 else "validation" if number < 10 else "test"
        prompt = f"{CORPUS[0]} {number}"
        # Each prompt has clips of its own, so that no split shares one.
        left, right = ("red", "blue") if number % 2 else ("blue", "red")
        records.append(
            PreferenceRecord(
                f"pair-{number:02d}", prompt, split, clips[left, number], clips[right, number],
                {"red": Label.A if left == "red" else Label.B, "odd": Label.INVALID},
            )
        )  # fmt: skip
    same = clips["red", 0]
    records.append(
        PreferenceRecord("tied", f"{CORPUS[0]} 0", "train", same, same, {"red": Label.TIE})
    )
    keys = [
        Dimension(key, key, f"Which is more {key}?", sees_prompt=False) for key in ("red", "odd")
    ]
    dimensions = DimensionSet("squares", "Squares", tuple(keys))
    write_snapshot(root / "snapshot", dimensions, records, {})
    return root


@pytest.fixture
def latent_reward_run(
    tmp_path: Path, tiny_wan_folder: Path, judged_squares: Path
) -> Callable[..., RunDir]:
    """Prepares a run directory of kind latent_reward: latent_reward_run("a", {...config...})."""

    def prepare(name: str, config: dict[str, Any], labels: Path | None = None) -> RunDir:
        run = RunDir(tmp_path / name)
        snapshot = judged_squares / "snapshot"
        given = {"snapshot": Input(str(snapshot), sha256_of(snapshot / "manifest.json"))}
        if labels is not None:
            given = {"pairs": Input(str(labels), sha256_of(labels))}
        small = {"dimensions": [] if labels else ["red"], "lr": 1e-3, "head_lr": 1e-2, "steps": 4,
                 "pairs_per_step": 4, "eval_every": 2, "evaluate_at": [0.1, 0.5],
                 "bootstrap": 20}  # fmt: skip
        media = tmp_path / "media" if labels else judged_squares / "media"
        inputs = {**given, "generator": Input(str(tiny_wan_folder))}
        run.prepare({**small, **config}, inputs, media_root=media)
        return run

    return prepare
