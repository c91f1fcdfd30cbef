"""The clips and start images of a snapshot inside its export: each file once, under its hash.

A clip that is missing, or is not what people saw, stops the export and is named by its pair: it is
never left out.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from annotation.errors import MediaError
from annotation.media.storage import MediaStorage, link_or_copy, media_storage
from formats.errors import FormatError
from formats.files import sha256_of
from pipelines.exports.source import Row, Source, kept_name
from pipelines.exports.staging import Made, Staging


def write(source: Source, staging: Staging, top: str = "") -> None:
    """All files that the rows name, below `top`; each is a step, so that none is taken twice."""
    store = media_storage()
    for row in source.rows():
        for each in files_of(row):
            name = top + kept_name(each["stored"], each["sha256"])
            staging.make(name, (name,), partial(_take, store, row["pair_id"], each, name))


def files_of(row: Row) -> Iterator[Row]:
    for each in (row["video_a"], row["video_b"], row.get("image")):
        if each is not None:
            yield each


def _take(store: MediaStorage, pair: str, each: Row, name: str, places: Mapping[str, Path]) -> Made:
    """The file is linked where the file system can: originals never change."""
    try:
        found = store.local(each["stored"], each["sha256"])
    except MediaError as error:
        raise FormatError(f"a file of pair {pair} cannot be exported: {error.message}") from None
    if not found.is_file():
        raise FormatError(f"a file of pair {pair} is missing: {each['stored']}")
    if sha256_of(found) != each["sha256"]:
        raise FormatError(
            f"a file of pair {pair} is not what people saw: the sha256 of {each['stored']} differs"
            " from the snapshot's; put the original back"
        )
    places[name].unlink(missing_ok=True)  # of a process that was killed here
    link_or_copy(found, places[name])
    return Made({})
