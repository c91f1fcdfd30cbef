"""`python -m models_rm rewardbench --file CSV --videos FOLDER --model MODEL_FOLDER`: the table."""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from formats.errors import FormatError
from formats.files import read_json, sha256_of, write_json
from formats.outcome import ExitCode
from formats.supervised import BadConfigError
from models_rm.benchmarks.running import Examined, examine, fill
from models_rm.config import BENCHMARKS, BenchmarkConfig, ConfigError
from models_rm.scores.parts import FOLDER, Parts
from models_rm.scoring import RewardModel

_SCORED: Final = "reward_benchmark_scored/1"


def main(words: Sequence[str]) -> int:
    arguments = _parser().parse_args(list(words))
    # What transformers has to say about its processors is not for the person who wants a table.
    warnings.simplefilter("ignore", FutureWarning)
    config, folder = _config(arguments)
    model = None
    if arguments.model is not None:
        model = RewardModel.load(
            arguments.model,
            backbone=arguments.backbone,
            dtype=arguments.dtype,
            accept_other_libraries=arguments.accept_other_libraries,
        )
    if arguments.out:
        _claim(arguments.out, arguments, config)
    with tempfile.TemporaryDirectory() as scratch:
        keep = arguments.out or Path(scratch)
        found = _examined(folder, config, model, keep / FOLDER)
        if arguments.out:
            fill(arguments.out, found)
    print(found.table, end="")
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models_rm rewardbench",
        description="A reward model on VideoGen-RewardBench or the video part of GenAI-Bench: the "
        "table of VideoAlign (arXiv 2501.13918) with chance, intervals and other models beside.",
        allow_abbrev=False,
    )
    parser.add_argument("--file", type=Path, required=True, help="the benchmark's table")
    parser.add_argument("--videos", type=Path, help="the folder that its paths begin in")
    parser.add_argument("--model", type=Path, metavar="MODEL_FOLDER")
    parser.add_argument("--backbone", type=Path, help="where the backbone lies, if it has moved")
    parser.add_argument(
        "--accept-other-libraries",
        action="store_true",
        help="than the model was made with, though scores may differ",
    )
    parser.add_argument(
        "--scores",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="another model's scores: path, prompt, a column per dimension; may be repeated",
    )
    parser.add_argument("--out", type=Path, help="keep result.json, table.md and scores.csv here")
    parser.add_argument("--name", default="this model", help="of the model, in the table")
    parser.add_argument("--format", choices=BENCHMARKS, default="auto")
    parser.add_argument("--min-pixels", type=int, help="area of a frame, instead of the model's")
    parser.add_argument("--max-pixels", type=int)
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    return parser


def _config(arguments: argparse.Namespace) -> tuple[BenchmarkConfig, Path]:
    """The config, with files as they are given; a person at a terminal may read any folder."""
    scores = {}
    for text in arguments.scores:
        name, equals, file = text.partition("=")
        if not equals or not name:
            raise BadConfigError(f"--scores must look like NAME=FILE, got {text!r}")
        if name in scores:
            raise BadConfigError(f"two tables of scores have the name {name!r}")
        scores[name] = str(Path(file).resolve())
    folder = arguments.videos or arguments.file.parent
    if not folder.is_dir():
        raise FormatError("there is no such folder of videos", path=folder)
    try:
        config = BenchmarkConfig(
            folder=str(folder),
            file=str(arguments.file.resolve()),
            format=arguments.format,
            scores=scores,
            name=arguments.name,
            min_pixels=arguments.min_pixels,
            max_pixels=arguments.max_pixels,
            bootstrap=arguments.bootstrap,
            batch_size=arguments.batch_size,
            dtype=arguments.dtype,
        )
    except ConfigError as error:
        raise BadConfigError(str(error)) from error
    return config, folder


def _claim(out: Path, arguments: argparse.Namespace, config: BenchmarkConfig) -> None:
    """Go on with a folder only for the same model on the same file: its scores are kept there."""
    model = arguments.model and sha256_of(arguments.model / "manifest.json")
    mine = {
        "model": model or "",
        "file": sha256_of(Path(config.file)),
        "pixels": [config.min_pixels, config.max_pixels],
        "dtype": config.dtype,
    }
    known = out / "scored.json"
    if not known.exists():
        write_json(known, _SCORED, mine)
    elif read_json(known, _SCORED) != mine:
        raise BadConfigError(
            f"{out} holds the scores of another model, file or size of frames; name a new folder"
        )


def _examined(
    folder: Path, config: BenchmarkConfig, model: RewardModel | None, parts: Path
) -> Examined:
    def log(done: int, total: int, rate: float) -> None:
        print(f"{done} of {total} clips, {rate:.2g} per second", file=sys.stderr, flush=True)

    kept = Parts(parts, 0, clips=config.part_clips, seconds=config.part_seconds)
    return examine(folder, config, model, kept, check=lambda _save: None, log=log)
