"""Every form of every generator family: the first loss, and its adapter in plain diffusers.

    python -m bench.align_families --json docs/benchmarks/align_families.json

A tiny form is trained for some steps by the run that trains large ones; another process, which
imports diffusers and nothing of ours, makes a clip with the base and one with the adapter.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from bench.reward_runs import CORES, machine
from formats.files import sha256_of
from formats.records import ImageRef, PairRecord, PromptRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.supervised import Supervised
from models_align.adapters import load_adapter, without_adapter
from models_align.config import GenerationConfig
from models_align.denoising import Task, TextStates, clip_noise, denoised
from models_align.generators.base import Generator
from models_align.generators.families import load_generator
from models_align.generators.tiny import CORPUS, FORMS, SIZE, build
from models_align.images import read_image
from models_align.training import train
from models_align.video import write_clip

SEEDS: Final = (0, 1, 2)
STEPS: Final = 6
PROMPT: Final = CORPUS[0]
CONFIG: Final = GenerationConfig(
    steps=4, guidance_scale=3.0, num_frames=SIZE[0], height=SIZE[1], width=SIZE[2], fps=8
)
TRAINING: Final = {
    "method": "flow_dpo",
    "steps": STEPS,
    "pairs_per_step": 2,
    "lr": 1e-2,
    "lora": {"r": 4, "alpha": 8},
    # So much noise that both networks of a pair of networks are asked.
    "timesteps": {"distribution": "shifted", "shift": 7.0},
}


def clips(folder: Path, seed: int) -> Path:
    """pairs.jsonl of two pairs of smooth noise, with start images."""
    chance = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(2):
        refs = []
        for side in "wl":
            coarse = torch.rand(1, 3, 3, 4, 4, generator=chance) * 255
            smooth = torch.nn.functional.interpolate(coarse, SIZE, mode="trilinear")
            frames = smooth[0].permute(1, 2, 3, 0).to(torch.uint8).numpy()
            path = folder / f"{side}{number}.mp4"
            write_clip(path, frames, fps=8)
            refs.append(VideoRef(path.stem, path.name, sha256_of(path), 8.0, SIZE[0]))
        Image.fromarray(frames[0]).save(folder / f"start-{number}.png")
        image = ImageRef(f"start-{number}.png", sha256_of(folder / f"start-{number}.png"))
        rows.append(PairRecord(
            f"pair-{number}", f"prompt-{number}", CORPUS[number], "train", refs[0], refs[1],
            gap=1.0, reward_w=0.8, reward_l=0.3, source="rewards", image=image,
        ))  # fmt: skip
    PairRecord.write(folder / "pairs.jsonl", rows)
    return folder / "pairs.jsonl"


def trained(folder: Path, base: Path, pairs: Path, seed: int) -> RunDir:
    run = RunDir(folder / f"run-{base.name}")
    inputs = {"pairs": Input(str(pairs), sha256_of(pairs)), "generator": Input(str(base))}
    run.prepare({**TRAINING, "seed": seed}, inputs, media_root=pairs.parent)
    train(Supervised(run))
    return run


def ours(generator: Generator, image: Path, seed: int) -> torch.Tensor:
    start = generator.encode_start(read_image(image)[None], SIZE[0])
    text, task = TextStates(generator, ""), Task(PromptRecord("p", PROMPT), seed)
    return denoised(generator, text, [task], CONFIG, condition=start)


def job(generator: Generator, adapter: str, folder: Path, seed: int) -> dict[str, Any]:
    """What the other process is asked."""
    base = Path(generator.source)
    noise = folder / f"{base.name}-noise.safetensors"
    shape = generator.latent_shape(*SIZE)
    save_file({"noise": clip_noise(PROMPT, seed, shape)[None]}, noise)
    return {
        "pipeline": str(base),
        "adapter": adapter,
        "noise": str(noise),
        "image": str(folder / "start-0.png") if generator.needs_image else "",
        "answer": str(folder / f"{base.name}-{'aligned' if adapter else 'base'}.safetensors"),
        "asked": {
            "prompt": [PROMPT],
            "negative_prompt": [""],
            "height": CONFIG.height,
            "width": CONFIG.width,
            "num_frames": CONFIG.num_frames,
            "num_inference_steps": CONFIG.steps,
            "guidance_scale": CONFIG.guidance_scale,
            "max_sequence_length": generator.encode_prompts([PROMPT]).shape[1],
        },
    }


def one_seed(folder: Path, seed: int) -> list[dict[str, Any]]:
    pairs = clips(folder, seed)
    rows: list[dict[str, Any]] = []
    jobs: list[dict[str, Any]] = []
    made: list[torch.Tensor] = []
    for form in FORMS:
        base = folder / form
        build(form, seed=seed).save_pretrained(str(base))
        run = trained(folder, base, pairs, seed)
        losses = [line.values["loss"] for line in run.metrics_from(0)[0] if "loss" in line.values]
        generator, image = load_generator(base), folder / "start-0.png"
        before = ours(generator, image, seed)
        load_adapter(generator, run.outputs / "adapter")
        after = ours(generator, image, seed)
        with without_adapter(generator):
            off = ours(generator, image, seed)
        adapter = str(run.outputs / "adapter")
        jobs += [job(generator, each, folder, seed) for each in ("", adapter)]
        made += [before, after]
        rows.append({
            "form": form,
            "seed": seed,
            "process": generator.process.name,
            "networks": len(generator.networks),
            "first_loss": losses[0],
            "moved": gap(after, before),
            "off": gap(off, before),
        })  # fmt: skip
    theirs = by_diffusers(folder, jobs)
    for row, *pair in zip(rows, made[::2], theirs[::2], made[1::2], theirs[1::2], strict=True):
        row["base"], row["aligned"] = gap(pair[0], pair[1]), gap(pair[2], pair[3])
        print(f"seed {seed}, {row['form']}: loss - ln 2 {row['first_loss'] - math.log(2):.1e}, "
              f"adapter moves {row['moved']:.2f}; difference to diffusers: base {row['base']:g}, "
              f"aligned {row['aligned']:g}", flush=True)  # fmt: skip
    return rows


def gap(one: torch.Tensor, other: torch.Tensor) -> float:
    return (one - other).abs().max().item()


def by_diffusers(folder: Path, jobs: list[dict[str, Any]]) -> list[torch.Tensor]:
    (folder / "jobs.json").write_text(json.dumps(jobs))
    program = Path(__file__).with_name("align_families_plain.py")
    command = [sys.executable, "-I", str(program), str(folder / "jobs.json")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return [load_file(each["answer"])["latents"] for each in jobs]


def pooled(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The worst over the seeds of one form."""
    off_ln_2 = max(abs(each["first_loss"] - math.log(2)) for each in rows)
    worst = {key: max(each[key] for each in rows) for key in ("off", "base", "aligned")}
    facts = {key: rows[0][key] for key in ("form", "process", "networks")}
    return {**facts, **worst, "ln_2": off_ln_2, "moved": min(each["moved"] for each in rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            rows += one_seed(Path(folder), seed)
    figures = {
        "machine": machine(range(CORES)),
        "seeds": arguments.seeds,
        "steps": STEPS,
        "rows": [pooled([each for each in rows if each["form"] == form]) for form in FORMS],
    }
    arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
