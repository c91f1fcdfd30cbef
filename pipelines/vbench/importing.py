"""VBench on a site: result files of the official tool as artifacts (run kind `vbench_import`).

Totals and the file's format are `formats.vbench` and its neighbours; clips are measured by
`python -m measuring` (run kind `vbench`).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from annotation.errors import AnnotationError
from annotation.media.keeping import below_incoming
from formats.errors import FormatError
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord
from formats.supervised import Supervised
from formats.vbench import PROTOCOLS
from formats.vbench_official import MOST_BYTES, SCALES, UNIT, Found, Measured, read_results
from formats.vbench_results import FILE, IMPORTED, ClipValues, Value, VBenchResult, joined
from formats.vbench_results import read_result as read_result
from pipelines import trainer_configs
from pipelines.errors import InvalidRunConfig
from pipelines.generations import read_generations
from pipelines.models import RunInput
from pipelines.step_configs import StepConfig, StepConfigError, one_of, require

IMPORT: Final = "vbench_import"
RUN: Final = "vbench"
EARLIER: Final = "result"  # role of results that are joined to the files
MOST_FILES: Final = 64
_SAMPLE: Final = re.compile(r"(?P<prompt>.*)-(?P<number>\d+)")


@dataclass(frozen=True, slots=True)
class VBenchImportConfig(StepConfig):
    """`files` lie below MEDIA_ROOT/incoming; `generator` says what was measured, where no input
    does."""

    files: list[str] = field(default_factory=list)
    protocol: str = "t2v"
    scale: str = UNIT
    generator: str = ""

    def __post_init__(self) -> None:
        given: object = self.files
        texts = isinstance(given, list) and all(isinstance(each, str) for each in given)
        require(texts, "files", "a list of file names", given)
        require(len(self.files) <= MOST_FILES, "files", f"at most {MOST_FILES}", len(self.files))
        twice = sorted({each for each in self.files if self.files.count(each) > 1})
        if twice:
            raise StepConfigError(f"files names {twice[0]!r} twice")
        one_of("protocol", self.protocol, tuple(PROTOCOLS))
        one_of("scale", self.scale, SCALES)
        require(isinstance(self.generator, str), "generator", "a text", self.generator)
        require(len(self.generator) <= 200, "generator", "at most 200 letters", self.generator)


def check(values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config; what is wrong with a file is said before the run starts."""
    config = trainer_configs.checked(VBenchImportConfig.from_json, values)
    if config["files"]:
        try:
            found_in(VBenchImportConfig.from_json(config))
        except FormatError as error:
            raise InvalidRunConfig(str(error)) from None
    return config


def refuse_unfit(config: Mapping[str, Any], inputs: Mapping[str, object]) -> None:
    """Files, or several results to be joined, or both."""
    earlier = [role for role in inputs if role.startswith(EARLIER)]
    if not config["files"] and len(earlier) < 2:
        raise InvalidRunConfig(
            "name at least one file of results of the official tool (*_eval_results.json), or two"
            " results to be joined"
        )


def found_in(config: VBenchImportConfig) -> Found:
    """What the files say. FormatError with the file for any of its faults."""
    return read_results(contents(config.files), PROTOCOLS[config.protocol], scale=config.scale)


def contents(names: Iterable[str]) -> list[tuple[str, bytes]]:
    """Files below the folder for imports."""
    found = []
    for name in names:
        try:
            path = below_incoming(name)
        except AnnotationError as error:
            raise FormatError(error.message) from None
        if not path.is_file():
            raise FormatError(f"there is no file incoming/{name} on the server")
        if path.stat().st_size > MOST_BYTES:
            raise FormatError(f"the file has more than {MOST_BYTES} bytes", path=path.name)
        found.append((path.name, path.read_bytes()))
    return found


# The run.


def perform(run: Supervised) -> Outcome:
    """The files, and earlier results of the same clips, as one result."""
    config = VBenchImportConfig.from_json(run.dir.config())
    rows = list(RunInput.objects.filter(run=int(run.dir.root.name)).select_related("artifact"))
    results = _of_files(run, config) if config.files else []
    for row in rows:
        if row.role.partition(":")[0] == EARLIER:
            run.check()
            results.append(read_result(run.dir.input(row.role)))
    result = joined(results)
    sha256 = result.write(run.dir.outputs / FILE)
    run.dir.log_metrics(1, 1, stage="imported")
    summary = result.summary()
    output = Output(OutputKind.VBENCH, f"outputs/{FILE}", sha256, summary)
    words = f"{len(result.values)} of {len(result.benchmark.dimensions)} dimensions"
    return Outcome(ExitCode.DONE, "done", words, (output,), summary)


def _of_files(run: Supervised, config: VBenchImportConfig) -> list[VBenchResult]:
    found = found_in(config)
    records = []
    if run.dir.has_input("generations"):
        records = read_generations(run.dir.input("generations"))
    values = {
        key: Value(each.raw, IMPORTED, len(each.of_videos), file=each.file)
        for key, each in found.measured.items()
    }
    clips, notes = clips_of(found.measured.values(), records)
    measured = {"generator": config.generator or _generators(records)}
    return [VBenchResult(config.protocol, values, {}, clips, [*found.notes, *notes], measured)]


def _generators(records: Sequence[GenerationRecord]) -> str:
    return ", ".join(sorted({each.video.generator for each in records} - {""}))


def clips_of(
    measured: Iterable[Measured], records: Sequence[GenerationRecord]
) -> tuple[list[ClipValues], list[str]]:
    """The values of each video under its clip, where a file name tells which clip it is."""
    by_video: dict[str, dict[str, float]] = defaultdict(dict)
    for each in measured:
        for path, value in each.of_videos.items():
            by_video[path][each.key] = value
    known = _by_name(records)
    clips, strange = [], []
    for path, values in by_video.items():
        record = known.get(Path(path).name)
        if record is None:
            strange.append(path)
            clips.append(_of_name(Path(path).name, values))
        else:
            video = record.video
            clips.append(ClipValues(video.id, record.prompt_id, record.prompt, video.seed, values))
    notes = []
    if records and strange:
        notes.append(
            f"{len(strange)} of {len(by_video)} videos of the files are not among the clips, by"
            f" name; the first is {Path(strange[0]).name!r}."
        )
    return clips, notes


def _of_name(name: str, values: dict[str, float]) -> ClipValues:
    """`a dog runs-2.mp4` is the sample 2 of its prompt: so the official tool names videos."""
    match = _SAMPLE.fullmatch(Path(name).stem)
    if match is None:
        return ClipValues(name, "", Path(name).stem, None, values)
    return ClipValues(name, "", match["prompt"], int(match["number"][:9]), values)


def _by_name(records: Sequence[GenerationRecord]) -> dict[str, GenerationRecord]:
    """By their own file name, and by that of the official tool: prompt and number of the sample."""
    found = {Path(each.video.path).name: each for each in records}
    of_prompt: dict[str, list[GenerationRecord]] = defaultdict(list)
    for each in records:
        of_prompt[each.prompt].append(each)
    for prompt, clips in of_prompt.items():
        clips.sort(key=lambda each: each.video.seed or 0)
        for number, each in enumerate(clips):
            found.setdefault(f"{prompt}-{number}.mp4", each)
    return found
