"""`python -m measuring vbench RUN_DIR`: each clip of a generation set, once.

A run may be one chunk of several; then it takes the clips that a hash gives it. What is measured is
written part by part. The official package comes last, on all clips that can be read.
"""

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from formats.chunks import chunk_of, generations_of
from formats.errors import FormatError
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord
from formats.supervised import BadConfigError, Supervised
from formats.vbench import FLICKERING, PROTOCOLS
from formats.vbench_results import (
    BY_VIDEO,
    COMPUTED,
    FILE,
    PROXY,
    ClipValues,
    Value,
    VBenchResult,
    means,
)
from measuring.clips import measured_clip
from measuring.config import ConfigError, VBenchConfig
from measuring.errors import ClipUnreadableError
from measuring.journal import FOLDER, Journal, Key
from measuring.official import measured_by_package, refuse_not_installed
from measuring.workplace import Task

LOG_EVERY: Final = 16  # clips


def measure(run: Supervised) -> Outcome:
    """The body of the command."""
    try:
        config = VBenchConfig.from_json(run.dir.config())
    except (ConfigError, TypeError) as error:
        raise BadConfigError(str(error)) from error
    if config.of_package:
        refuse_not_installed(config.protocol, config.of_package)
    folder, records = clips_of(run)
    wanted = _of_chunk(records, config)
    clips = _measured(run, config, folder, wanted)
    if config.chunk is None:
        refuse_all_unreadable(clips)
    readable = [
        Task(
            folder / wanted[each.video_id, each.prompt].video.path,
            wanted[each.video_id, each.prompt],
        )
        for each in clips
        if not each.error
    ]
    package = {}
    if config.of_package and readable:
        package = measured_by_package(run, config, readable)
    result = result_of(config.protocol, clips, package, generators=_generators(wanted))
    return left(run, result)


def result_of(
    protocol: str,
    clips: Sequence[ClipValues],
    package: Mapping[str, tuple[Value, Mapping[Key, float]]],
    *,
    generators: str,
) -> VBenchResult:
    """Means over clips of what we measured, and what the package says, as one result."""
    values = {key: value for key, (value, _) in package.items()}
    flickering, count = means(clips, FLICKERING)
    if count:
        values[FLICKERING] = Value(flickering, COMPUTED, count, BY_VIDEO)
    proxies = sorted({key for clip in clips for key in clip.values if key.startswith(PROXY)})
    return VBenchResult(
        protocol,
        values,
        {key: means(clips, key)[0] for key in proxies},
        [_with_package(clip, package) for clip in clips],
        _notes(protocol, values, clips),
        {"generator": generators},
    )


def refuse_all_unreadable(clips: Sequence[ClipValues]) -> None:
    if clips and all(clip.error for clip in clips):
        raise FormatError(
            f"none of the {len(clips)} clips can be read; the first: {clips[0].error}"
        )


def _with_package(
    clip: ClipValues, package: Mapping[str, tuple[Value, Mapping[Key, float]]]
) -> ClipValues:
    key = (clip.video_id, clip.prompt)
    more = {name: of[key] for name, (_, of) in package.items() if key in of}
    values = {**clip.values, **more}
    return ClipValues(clip.video_id, clip.prompt_id, clip.prompt, clip.seed, values, clip.error)


def _notes(protocol: str, values: Mapping[str, Value], clips: Sequence[ClipValues]) -> list[str]:
    notes = []
    if FLICKERING in values:
        notes.append(
            "Temporal flickering is measured on these clips; VBench measures it on static scenes of"
            " its own prompts, so a moving clip is scored lower here."
        )
    if any(key in values for key in PROTOCOLS[protocol].custom()):
        notes.append(
            "Measured on clips of these prompts, not on those of the benchmark: such values compare"
            " with each other, not with a published table."
        )
    unreadable = sum(1 for clip in clips if clip.error)
    if unreadable:
        notes.append(f"{unreadable} of {len(clips)} clips cannot be read and count nowhere.")
    return notes


def left(run: Supervised, result: VBenchResult) -> Outcome:
    sha256 = result.write(run.dir.outputs / FILE)
    summary = result.summary()
    output = Output(OutputKind.VBENCH, f"outputs/{FILE}", sha256, summary)
    message = f"measured {len(result.clips) - result.unreadable} clips"
    return Outcome(ExitCode.DONE, "done", message, (output,), summary)


# The clips.


def clips_of(run: Supervised) -> tuple[Path, dict[Key, GenerationRecord]]:
    """The generation set; FormatError where nothing is in it that could be measured."""
    folder, records = generations_of(run.dir)
    if not records:
        raise FormatError("the generation set has no clip", path=folder)
    return folder, records


def _of_chunk(
    records: Mapping[Key, GenerationRecord], config: VBenchConfig
) -> dict[Key, GenerationRecord]:
    if config.chunk is None:
        return dict(records)
    return {
        key: record
        for key, record in records.items()
        if chunk_of(*key, config.chunks) == config.chunk
    }


def _generators(records: Mapping[Key, GenerationRecord]) -> str:
    return ", ".join(sorted({each.video.generator for each in records.values()} - {""}))


def _measured(
    run: Supervised, config: VBenchConfig, folder: Path, wanted: Mapping[Key, GenerationRecord]
) -> list[ClipValues]:
    """What is safe already, and the rest; in the order of the set."""
    journal = Journal(run.dir.root / FOLDER, run.fence, clips=config.part_clips)
    known = journal.read(lambda text: print(text, flush=True))
    left = [record for key, record in wanted.items() if key not in known]
    done = len(wanted) - len(left)
    for row in _read(left, folder, config):
        journal.add(row)
        known[row.video_id, row.prompt] = row
        done += 1
        if done % LOG_EVERY == 0 or done == len(wanted):
            run.dir.log_metrics(done, len(wanted), stage="measuring")
        run.check(journal.flush)
    journal.flush()
    return [known[key] for key in wanted]


def _read(
    records: Sequence[GenerationRecord], folder: Path, config: VBenchConfig
) -> Iterator[ClipValues]:
    """A few clips at a time, given back in their order."""
    with ThreadPoolExecutor(min(config.readers, os.cpu_count() or 1)) as pool:
        ahead: deque[Future[ClipValues]] = deque()
        for record in records:
            ahead.append(pool.submit(_one, record, folder, config))
            if len(ahead) > 2 * config.readers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _one(record: GenerationRecord, folder: Path, config: VBenchConfig) -> ClipValues:
    names = (record.video.id, record.prompt_id, record.prompt, record.video.seed)
    wanted = FLICKERING in config.dimensions
    try:
        values = measured_clip(
            folder / record.video.path, flickering=wanted, proxies=config.proxies
        )
    except ClipUnreadableError as error:
        return ClipValues(*names, error=error.message)
    return ClipValues(*names, values=values)
