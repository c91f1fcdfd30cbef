"""`python -m models_rm clip MODEL_FOLDER --prompt TEXT FILE …`: scores of single clips.

No run directory and no database. What a person typed is data: a prompt never becomes a control
token, and a file's name is shown without control characters.
"""

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from formats.outcome import ExitCode
from models_rm.clips.start_images import StartImage
from models_rm.reward_models.streaming import Limits, Scored, Task, stream
from models_rm.scores.run import record_of
from models_rm.scoring import RewardModel, total


def main(words: Sequence[str]) -> int:
    """0; 65 where a clip could not be read (the others are shown all the same)."""
    arguments = _parser().parse_args(list(words))
    # What transformers has to say about its processors is not for the person who scores a clip.
    warnings.simplefilter("ignore", FutureWarning)
    model = RewardModel.load(
        arguments.model,
        backbone=arguments.backbone,
        dtype=arguments.dtype,
        accept_other_libraries=arguments.accept_other_libraries,
    )
    start = StartImage(arguments.image) if arguments.image else None
    rows = score_files(model, arguments.files, arguments.prompt, raw=arguments.raw, start=start)
    print(json.dumps(rows, ensure_ascii=False, indent=1) if arguments.json else _table(model, rows))
    return ExitCode.BAD_DATA if any(row["error"] for row in rows) else ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models_rm clip",
        description="Scores of single clips. They are calibrated: 0 is the mean of the clips that "
        "the model was calibrated on, 1 one standard deviation above it.",
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL_FOLDER", type=Path)
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+")
    parser.add_argument("--prompt", required=True, help="the text that the clips were made for")
    parser.add_argument(
        "--image", type=Path, help="what the clips were to start from, for a model that looks at it"
    )
    parser.add_argument("--raw", action="store_true", help="rewards as the network gives them")
    parser.add_argument("--json", action="store_true", help="one JSON list instead of a table")
    parser.add_argument("--backbone", type=Path, help="where the backbone lies, if it has moved")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument(
        "--accept-other-libraries",
        action="store_true",
        help="than the model was made with, though scores may differ",
    )
    return parser


def score_files(
    model: RewardModel,
    files: Sequence[Path],
    prompt: str,
    *,
    raw: bool = False,
    start: StartImage | None = None,
) -> list[dict[str, Any]]:
    """One row per file, in their order."""
    rows: list[dict[str, Any]] = [{} for _ in files]
    tasks = [Task(file, prompt, start=start) for file in files]
    for batch in stream(model, tasks, Limits()):
        for each in batch:
            rows[each.row] = _row(model, files[each.row], prompt, each, raw=raw)
    return rows


def _row(
    model: RewardModel, file: Path, prompt: str, scored: Scored, *, raw: bool
) -> dict[str, Any]:
    record = record_of(model, (str(file), "", prompt), scored)
    row: dict[str, Any] = {"file": str(file), "scores": {}, "total": None, "error": record.error}
    if record.error:
        return row
    values = record.raw if raw else record.score
    row |= {"scores": values, "total": total(values)}
    if record.std:
        row["std"] = record.std
    return {**row, "slower_than_the_training": True} if scored.slow else row


def _table(model: RewardModel, rows: Sequence[dict[str, Any]]) -> str:
    keys = [*model.dimensions, "total"]
    lines = ["\t".join([*keys, "file"])]
    for row in rows:
        values = {**row["scores"], "total": row["total"]}
        cells = [f"{values[key]:.4f}" if values.get(key) is not None else "–" for key in keys]
        slow = row.get("slower_than_the_training")
        note = row["error"] or ("slower than the training" if slow else "")
        lines.append("\t".join([*cells, shown(row["file"]), *([shown(note)] if note else [])]))
    return "\n".join(lines)


def shown(text: str) -> str:
    """A text for a terminal: control characters are spelled out and do nothing."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
