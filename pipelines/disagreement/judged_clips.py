"""The clips that people judged, as a generation set (run kind `judged_clips`).

So a reward model can score what a snapshot speaks of, wherever its clips came from: pairs of people
get rewards, and what contradicts them can be told.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from annotation.errors import MediaError
from annotation.media.storage import bring, media_storage
from annotation.models.clips import prompt_sha256
from formats.errors import FormatError
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, PreferenceRecord, VideoRef
from formats.snapshot import read_snapshot
from formats.supervised import Supervised
from pipelines.generations import FILE
from pipelines.step_configs import StepConfig


@dataclass(frozen=True, slots=True)
class JudgedClipsConfig(StepConfig):
    """Nothing is left to choose: every clip of the snapshot, once for each of its prompts."""


def perform(run: Supervised) -> Outcome:
    """Give the clips of a snapshot the form in which generators leave theirs."""
    JudgedClipsConfig.from_json(run.dir.config())
    judged = clips_of(read_snapshot(run.dir.input("snapshot")).records)
    target = run.dir.outputs / "generations"
    (target / "clips").mkdir(parents=True, exist_ok=True)
    records = []
    for number, clip in enumerate(judged, start=1):
        run.check()
        name = f"clips/{clip.video.sha256}.mp4"
        _bring(clip.video, target / name)
        records.append(replace(clip, video=replace(clip.video, path=name)))
        run.dir.log_metrics(number, len(judged), stage="clips")
    sha256 = GenerationRecord.write(target / FILE, records)
    summary = {"clips": len(records), "prompts": len({each.prompt_id for each in records})}
    output = Output(OutputKind.GENERATIONS, f"outputs/generations/{FILE}", sha256, summary)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=summary)


def _bring(video: VideoRef, target: Path) -> None:
    """Out of the store; what an earlier attempt brought stays."""
    try:
        bring(media_storage().local(video.path, video.sha256), target)
    except (MediaError, OSError) as error:
        raise FormatError(f"clip {video.id!r} is not in the store: {error}") from error


def clips_of(records: Iterable[PreferenceRecord]) -> list[GenerationRecord]:
    """Each clip once per prompt, in the order of the snapshot."""
    found: dict[tuple[str, str], GenerationRecord] = {}
    for record in records:
        prompt_id = prompt_sha256(record.prompt, record.image.sha256 if record.image else "")[:16]
        for video in (record.video_a, record.video_b):
            if video is not None:
                clip = _clip(record, prompt_id, video)
                found.setdefault((prompt_id, video.sha256), clip)
    return list(found.values())


def _clip(record: PreferenceRecord, prompt_id: str, video: VideoRef) -> GenerationRecord:
    return GenerationRecord(prompt_id, record.prompt, record.split, video, image=record.image)
