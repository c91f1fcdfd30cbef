"""`python -m measuring gather RUN_DIR`: the values of all chunks as one result."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from formats.chunks import chunk_inputs, chunk_of
from formats.errors import FormatError
from formats.outcome import Outcome
from formats.supervised import BadConfigError, Supervised
from formats.vbench import PROTOCOLS
from formats.vbench_results import BY_VIDEO, PROXY, ClipValues, Value, VBenchResult, read_result
from measuring.config import ConfigError, GatheringConfig
from measuring.journal import Key
from measuring.running import clips_of, left, refuse_all_unreadable, result_of


def gather(run: Supervised) -> Outcome:
    """Each clip of the set exactly once; each dimension as the mean over its clips."""
    try:
        config = GatheringConfig.from_json(run.dir.config())
    except (ConfigError, TypeError) as error:
        raise BadConfigError(str(error)) from error
    files = chunk_inputs(run.dir, "vbench", config.chunks)
    chunks = {number: read_result(path) for number, path in enumerate(files)}
    records = clips_of(run)[1]
    clips = merged(chunks, list(records))
    refuse_all_unreadable(clips)
    run.dir.log_metrics(len(clips), len(records), stage="gathered")
    first = next(iter(chunks.values()))
    if any(each.protocol != config.protocol for each in chunks.values()):
        raise FormatError(f"the chunks are not all of {PROTOCOLS[config.protocol].title}")
    whole = result_of(config.protocol, clips, {}, generators=first.measured.get("generator", ""))
    return left(run, replace(whole, values=_values(chunks, clips)))


def merged(chunks: Mapping[int, VBenchResult], order: Sequence[Key]) -> list[ClipValues]:
    """The clips of all chunks in the order of the set; nothing twice, missing or astray."""
    found: dict[Key, ClipValues] = {}
    for number, chunk in chunks.items():
        for clip in chunk.clips:
            key = (clip.video_id, clip.prompt)
            if key in found:
                raise FormatError(f"clip {clip.video_id!r} is measured twice with this prompt")
            wanted = chunk_of(*key, len(chunks))
            if wanted != number:
                raise FormatError(
                    f"clip {clip.video_id!r} belongs to chunk {wanted}, not to chunk {number}"
                )
            found[key] = clip
    missing = [key for key in order if key not in found]
    if missing:
        raise FormatError(
            f"{len(missing)} of {len(order)} clips are not measured, {missing[0][0]!r} first"
        )
    return [found[key] for key in order]


def _values(chunks: Mapping[int, VBenchResult], clips: Sequence[ClipValues]) -> dict[str, Value]:
    """Means of the videos, not of the frames: so do several processes of the official tool."""
    sources: dict[str, Value] = {}
    for chunk in chunks.values():
        sources |= chunk.values
    benchmark = PROTOCOLS[next(iter(chunks.values())).protocol]
    found = {}
    for key, value in sources.items():
        rows = [clip.values[key] for clip in clips if key in clip.values]
        if not rows or key.startswith(PROXY):
            continue
        percent = key in benchmark.names and benchmark.get(key).percent
        mean = math.fsum(rows) / len(rows) / (100 if percent else 1)
        found[key] = Value(mean, value.source, len(rows), BY_VIDEO)
    return found
