"""Suites that come through the site: an upload, what lies in the folder for imports, a list."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, Final

from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile

from annotation.errors import ImportRefused, MediaError
from annotation.imports.sources import import_folder
from annotation.media.keeping import below_incoming
from formats.errors import FormatError
from pipelines.suites.shelf import Given, SuiteReport, import_suite

MOST_BYTES: Final = 512 * 2**20  # of an archive with images
_LIST: Final = "prompts.jsonl"


def import_upload(
    upload: UploadedFile,
    name: str,
    user: User,
    *,
    title: str = "",
    images: str = "",
    repair: bool = False,
) -> SuiteReport:
    """Make a suite of an uploaded file; images lie in the archive, or below the incoming folder."""
    shown = PurePath(upload.name or "upload").name
    if (upload.size or 0) > MOST_BYTES:
        raise FormatError(
            f"the file has more than {MOST_BYTES >> 20} MB; put it below MEDIA_ROOT/incoming and"
            " import it with manage.py import_suite",
            path=shown,
        )
    with TemporaryDirectory(prefix="tiebreak-suite-") as folder:
        file = Path(folder) / "upload"
        with file.open("wb") as copy:
            for chunk in upload.chunks():
                copy.write(chunk)
        given = Given(file, shown, _folder(images))
        return import_suite(given, name, title=title, repair=repair, user=user)


def import_incoming(
    place: str, name: str, user: User, *, title: str = "", repair: bool = False
) -> SuiteReport:
    """Make a suite of what lies below MEDIA_ROOT/incoming: a file, a folder or an archive."""
    try:
        found = below_incoming(place)
    except MediaError as error:
        raise FormatError(error.message) from None
    if not place or not found.exists():
        raise FormatError(f"there is nothing called incoming/{place} on the server")
    given = Given(found, f"incoming/{place}")
    return import_suite(given, name, title=title, repair=repair, user=user)


def import_list(
    prompts: Iterable[Mapping[str, Any]],
    name: str,
    user: User,
    *,
    title: str = "",
    images: str = "",
) -> SuiteReport:
    """Make a suite of the prompts of a request: the entries are those of a line of a file."""
    with TemporaryDirectory(prefix="tiebreak-suite-") as folder:
        file = Path(folder) / _LIST
        lines = (json.dumps(each, ensure_ascii=False) for each in prompts)
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        given = Given(file, _LIST, _folder(images))
        return import_suite(given, name, title=title, user=user)


def _folder(name: str) -> Path:
    try:
        return import_folder(name)
    except ImportRefused as error:
        raise FormatError(error.message) from None
