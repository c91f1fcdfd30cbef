"""`python -m demo measure RUN_DIR`: the true quality of generated clips, as scores.

Input: `generations`. Output: scores.jsonl with the judge `truth`. A clip that cannot be read gets
an error and no score: unreadable is not bad.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from demo.clip_files import read_clip, read_image
from demo.worlds import FIRST, WORLDS, WorldKind
from formats.errors import FormatError
from formats.files import sha256_of
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, ImageRef, ScoreRecord
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised

LOG_EVERY: Final = 16  # clips


def measure_generations(run: Supervised) -> Outcome:
    """The body of the command. Its config may name the world: `{"world": "anime"}`."""
    kind = _world(run.dir.config())
    source = run.dir.input("generations")
    records = GenerationRecord.read(source / "generations.jsonl" if source.is_dir() else source)
    folder = source if source.is_dir() else source.parent
    scores = []
    for number, record in enumerate(records, start=1):
        run.check()
        scores.append(_score(record, folder, run.dir, kind))
        if number % LOG_EVERY == 0 or number == len(records):
            run.dir.log_metrics(number, len(records), stage="measuring")
    path = run.dir.outputs / "scores.jsonl"
    ScoreRecord.write(path, scores)
    meta = {"judge": "truth", "dimensions": list(kind.dimensions), "clips": len(scores)}
    output = Output(OutputKind.SCORES, "outputs/scores.jsonl", sha256_of(path), meta)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=_summary(scores, kind))


def _world(settings: Mapping[str, Any]) -> WorldKind:
    unknown = sorted(set(settings) - {"world"})
    if unknown:
        raise BadConfigError(f"unknown key {unknown[0]!r}; measuring the truth knows only 'world'")
    name = settings.get("world", FIRST)
    if name not in WORLDS:
        raise BadConfigError(f"world must be one of {', '.join(WORLDS)}, got {name!r}")
    return WORLDS[name]


def _path(record: GenerationRecord, folder: Path, media_root: Path) -> Path:
    """Beside generations.jsonl, or in the media store once the clip is registered there."""
    beside = folder / record.video.path
    return beside if beside.exists() else media_root / record.video.path


def _start(image: ImageRef | None, run_dir: RunDir) -> NDArray[np.uint8] | None:
    """The start image of a clip, uint8 [H, W, 3]."""
    return None if image is None else read_image(run_dir.media_root() / image.path)


def _score(record: GenerationRecord, folder: Path, run_dir: RunDir, kind: WorldKind) -> ScoreRecord:
    try:
        frames = read_clip(_path(record, folder, run_dir.media_root()))
        truth = kind.measure(frames, record.prompt, _start(record.image, run_dir))
    except (FormatError, ValueError) as error:
        return ScoreRecord(record.video.id, record.prompt_id, record.prompt, error=str(error))
    return ScoreRecord(record.video.id, record.prompt_id, record.prompt, raw=truth, score=truth)


def _summary(scores: list[ScoreRecord], kind: WorldKind) -> dict[str, Any]:
    read = [each.score for each in scores if not each.error]
    means = {key: sum(row[key] for row in read) / len(read) for key in kind.dimensions if read}
    return {"clips": len(scores), "unreadable": len(scores) - len(read), "mean": means}
