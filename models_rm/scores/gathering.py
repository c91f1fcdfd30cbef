"""`python -m models_rm gather RUN_DIR`: the scores of all chunks as one, nothing twice or missing.

Needs no torch and no clip: it compares what the chunks left with the generation set.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from formats.chunks import Key, chunk_inputs, chunk_of, generations_of
from formats.errors import FormatError
from formats.files import sha256_of
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, ScoreRecord
from formats.supervised import BadConfigError, Supervised
from models_rm.config import ConfigError, GatheringConfig


def gather(run: Supervised) -> Outcome:
    """One score set of the inputs `scores:0`, `scores:1` …, in the order of the generation set."""
    try:
        config = GatheringConfig.from_json(run.dir.config())
    except (ConfigError, TypeError) as error:
        raise BadConfigError(str(error)) from error
    chunks = dict(enumerate(chunk_inputs(run.dir, "scores", config.chunks)))
    _, order = generations_of(run.dir)
    found = merged(chunks, order)
    run.dir.log_metrics(len(found), len(order), stage="gathered")
    written = [found[key] for key in order]
    unreadable = sum(1 for record in written if record.error)
    if written and unreadable == len(written):
        raise FormatError(f"none of the {unreadable} clips can be read")
    sha256 = ScoreRecord.write(run.dir.outputs / "scores.jsonl", written)
    dimensions = next((list(record.score) for record in written if not record.error), [])
    summary: dict[str, Any] = {
        "chunks": config.chunks,
        "scored": len(written) - unreadable,
        "unreadable": unreadable,
        **_means(written, dimensions),
    }
    meta = {
        "dimensions": dimensions,
        "reward_model": sha256_of(run.dir.input("reward_model") / "manifest.json"),
        **summary,
    }
    output = Output(OutputKind.SCORES, "outputs/scores.jsonl", sha256, meta)
    message = f"gathered {len(written)} scores of {config.chunks} chunks"
    return Outcome(ExitCode.DONE, "done", message, (output,), summary)


def merged(
    chunks: Mapping[int, Path], order: Mapping[Key, GenerationRecord]
) -> dict[Key, ScoreRecord]:
    """Each (video, prompt) of the set exactly once, each from the chunk that a hash gives it to."""
    found: dict[Key, ScoreRecord] = {}
    for chunk, path in chunks.items():
        for line, record in enumerate(ScoreRecord.read(path), start=2):
            key = (record.video_id, record.prompt)
            fault = _fault(key, chunk, len(chunks), order, found)
            if fault:
                raise FormatError(f"clip {key[0]!r} {fault}", path=path, line=line)
            found[key] = record
    missing = [key for key in order if key not in found]
    if missing:
        video, prompt = missing[0]
        raise FormatError(
            f"{len(missing)} of {len(order)} clips have no score, {video!r} with the prompt "
            f"{prompt[:60]!r} first; chunk {chunk_of(video, prompt, len(chunks))} lacks it"
        )
    return found


def _fault(
    key: Key,
    chunk: int,
    chunks: int,
    order: Mapping[Key, GenerationRecord],
    found: Mapping[Key, ScoreRecord],
) -> str:
    if key not in order:
        return "is not in the generation set with this prompt"
    if key in found:
        return "is scored twice with this prompt"
    wanted = chunk_of(*key, chunks)
    return "" if wanted == chunk else f"belongs to chunk {wanted}, not to chunk {chunk}"


def _means(records: list[ScoreRecord], dimensions: list[str]) -> dict[str, float]:
    good = [record for record in records if not record.error]
    return {
        f"mean_{key}": sum(record.score[key] for record in good) / len(good) for key in dimensions
    }
