"""`python -m demo measure RUN_DIR`: the true quality of generated clips, as scores.

Input: `generations`. Output: scores.jsonl with the judge `truth`. A clip that cannot be read gets
an error and no score: unreadable is not bad.
"""

from pathlib import Path
from typing import Any, Final

from demo.clip_files import read_clip
from demo.recipes import DIMENSIONS
from demo.truth import measure
from formats.errors import FormatError
from formats.files import sha256_of
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, ScoreRecord
from formats.supervised import BadConfigError, Supervised

LOG_EVERY: Final = 16  # clips


def measure_generations(run: Supervised) -> Outcome:
    """The body of the command. Its config has no settings."""
    settings = run.dir.config()
    if settings:
        raise BadConfigError(f"unknown key {min(settings)!r}; measuring the truth has no settings")
    source = run.dir.input("generations")
    records = GenerationRecord.read(source / "generations.jsonl" if source.is_dir() else source)
    folder = source if source.is_dir() else source.parent
    scores = []
    for number, record in enumerate(records, start=1):
        run.check()
        scores.append(_score(record, _path(record, folder, run.dir.media_root())))
        if number % LOG_EVERY == 0 or number == len(records):
            run.dir.log_metrics(number, len(records), stage="measuring")
    path = run.dir.outputs / "scores.jsonl"
    ScoreRecord.write(path, scores)
    meta = {"judge": "truth", "dimensions": list(DIMENSIONS), "clips": len(scores)}
    output = Output(OutputKind.SCORES, "outputs/scores.jsonl", sha256_of(path), meta)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=_summary(scores))


def _path(record: GenerationRecord, folder: Path, media_root: Path) -> Path:
    """Beside generations.jsonl, or in the media store once the clip is registered there."""
    beside = folder / record.video.path
    return beside if beside.exists() else media_root / record.video.path


def _score(record: GenerationRecord, path: Path) -> ScoreRecord:
    try:
        truth = measure(read_clip(path), record.prompt)
    except (FormatError, ValueError) as error:
        return ScoreRecord(record.video.id, record.prompt_id, record.prompt, error=str(error))
    return ScoreRecord(record.video.id, record.prompt_id, record.prompt, raw=truth, score=truth)


def _summary(scores: list[ScoreRecord]) -> dict[str, Any]:
    read = [each.score for each in scores if not each.error]
    means = {key: sum(row[key] for row in read) / len(read) for key in DIMENSIONS} if read else {}
    return {"clips": len(scores), "unreadable": len(scores) - len(read), "mean": means}
