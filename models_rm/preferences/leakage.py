"""What a model was examined on must not be what it has learned from: splits that share nothing."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from formats.errors import FormatError
from formats.records import PreferenceRecord


def refuse_leaks(records: Iterable[PreferenceRecord], path: Path | None = None) -> None:
    """FormatError that names the first prompt, or the first file by its content, which stands in
    more than one split. Prompts are compared without regard to case and spacing.
    """
    seen: dict[tuple[str, str], str] = {}
    for record in records:
        for what, key, words in _traces(record):
            split = seen.setdefault((what, key), record.split)
            if split != record.split:
                raise FormatError(
                    f"{words} stands in the splits {split} and {record.split}: a reward model "
                    "would be examined on what it has learned from; put it on one side",
                    path=path,
                )


def _traces(record: PreferenceRecord) -> Iterator[tuple[str, str, str]]:
    """(kind, identity, words) of everything that may not be shared."""
    yield "prompt", " ".join(record.prompt.casefold().split()), f"the prompt {record.prompt!r}"
    for video in (record.video_a, record.video_b):
        if video is not None and video.sha256:
            yield "file", video.sha256, f"the clip {video.path} (sha256 {video.sha256[:12]})"
