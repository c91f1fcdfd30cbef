"""Clips that are here already, wherever they came from, by the prompt that they answer.

They are rows of one generator, rows that an import has just made, or records of an earlier set.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from django.db.models import QuerySet

from annotation.media.storage import media_storage
from annotation.models import Prompt, Video
from annotation.models.clips import prompt_sha256
from formats.errors import FormatError
from formats.files import read_json
from formats.records import GenerationRecord, PromptRecord, VideoRef
from pipelines.generations import records_file
from pipelines.ingests.ingesting import INGEST

_AT_ONCE: Final = 500
_NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class Here:
    """One clip. `name` is what people know it by, `path` where it lies; of a clip in the store
    nothing but its key is known until it is fetched."""

    video: VideoRef
    name: str
    path: Path | None = None
    measures: dict[str, float] = field(default_factory=dict)

    def fetched(self) -> Path:
        """The file on this machine; MediaError or OSError where it is gone."""
        if self.path is None:
            return media_storage().local(self.video.path, self.video.sha256)
        return self.path


ByPrompt = Mapping[str, list[Here]]


def key_of(text: str, image_sha256: str = "") -> str:
    return prompt_sha256(text, image_sha256)


def key_of_prompt(prompt: PromptRecord) -> str:
    return key_of(prompt.text, prompt.image.sha256 if prompt.image else "")


def of_generator(prompts: Sequence[PromptRecord], generator: str) -> ByPrompt:
    """The clips of one generator on these prompts."""
    keys = [key_of_prompt(each) for each in prompts]
    found: dict[str, list[Here]] = defaultdict(list)
    for some in _parts(keys):
        ids = Prompt.objects.filter(sha256__in=some).values("pk")
        _gather(found, Video.objects.filter(prompt__in=ids, generator__name=generator))
    return found


def of_import(report: Path, prompts: Sequence[PromptRecord]) -> ByPrompt:
    """The clips that an import took. What it refused, and what answers no prompt, is named."""
    files = read_json(report, INGEST)["files"]
    refused = [f"{row['file']}: {row['reason']}" for row in files if not row["video"]]
    if refused:
        raise FormatError(
            f"{len(refused)} of {len(files)} clips were refused by the import: "
            f"{some_of(refused)}; mend them or take them out of the table, and import again"
        )
    found: dict[str, list[Here]] = defaultdict(list)
    for some in _parts([row["video"] for row in files]):
        _gather(found, Video.objects.filter(pk__in=some))
    wanted = {key_of_prompt(each) for each in prompts}
    foreign = [clip.name for key, clips in found.items() if key not in wanted for clip in clips]
    if foreign:
        raise FormatError(
            f"{len(foreign)} clips are of prompts that the suite does not have: {some_of(foreign)};"
            " the table must have the prompts as the suite has them, letter by letter"
        )
    return found


def of_set(path: Path) -> ByPrompt:
    """The clips of an earlier generation set."""
    folder = records_file(path).parent
    found: dict[str, list[Here]] = defaultdict(list)
    for clip in GenerationRecord.read(records_file(path)):
        key = key_of(clip.prompt, clip.image.sha256 if clip.image else "")
        here = Here(clip.video, clip.video.id, folder / clip.video.path, clip.measures)
        found[key].append(here)
    return _in_order(found)


def _gather(found: dict[str, list[Here]], rows: QuerySet[Video]) -> None:
    shown = rows.filter(withdrawn=False).select_related("generator", "prompt__image")
    for row in shown:
        image = row.prompt.image
        found[key_of(row.prompt.text, image.sha256 if image else "")].append(_of_row(row))
    _in_order(found)


def _of_row(row: Video) -> Here:
    made_by = row.generator.name if row.generator else ""
    video = VideoRef(str(row.pk), row.file, row.sha256, row.fps, row.num_frames, made_by, row.seed)
    return Here(video, row.original_path or str(row.pk))


def _in_order(found: dict[str, list[Here]]) -> dict[str, list[Here]]:
    """By seed; clips without one by their name."""
    for clips in found.values():
        clips.sort(key=lambda clip: (clip.video.seed or 0, clip.name, clip.video.id))
    return found


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))


def some_of(names: Iterable[str]) -> str:
    """The first few of them, and how many more there are."""
    all_of_them = list(names)
    more = f" and {len(all_of_them) - _NAMED} more" if len(all_of_them) > _NAMED else ""
    return f"{'; '.join(all_of_them[:_NAMED])}{more}"
