"""Files that programs send in parts, into MEDIA_ROOT/incoming/uploads, from where imports read.

An upload is known by what is sent: the same person, name, length and sha256 give the same id, so
whoever was cut off asks again and learns how much is here. Until it is whole it lies beside, in
MEDIA_ROOT/unfinished; its name is given to it when every byte is here and the hash is right.
"""

import fcntl
import os
import shutil
import time
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, Protocol

from django.conf import settings
from django.contrib.auth.models import User

from annotation.errors import NotFound, VoteConflict
from annotation.media.keeping import below_incoming
from annotation.media.storage import link_or_copy
from annotation.media.upload_rules import DiskFull, UploadOutOfStep, UploadRefused, check
from formats.files import fsync_folder, read_json, sha256_of, write_json

SCHEMA: Final = "upload/1"
FOLDER: Final = "uploads"  # below incoming: nothing of an operator lies there
PART: Final = 8 << 20  # bytes; a proxy that takes 16 MB at a time lets it through
_MOST: Final = 100  # uploads of a person that are not finished
_FORGOTTEN: Final = 2 * 24 * 3600.0
_SPARE: Final = 1 << 30  # bytes that an upload leaves on the disk
_CHUNK: Final = 1 << 20


class Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Upload:
    """How far a file is."""

    id: str
    user: int
    name: str
    bytes: int
    sha256: str
    received: int = 0
    done: bool = False

    @property
    def path(self) -> str:
        """Where imports find it, below MEDIA_ROOT/incoming."""
        return f"{FOLDER}/{self.name}"

    @property
    def target(self) -> Path:
        return below_incoming(self.path)

    @property
    def folder(self) -> Path:
        return _unfinished() / self.id

    @property
    def data(self) -> Path:
        return self.folder / "data"


def _unfinished() -> Path:
    return Path(settings.MEDIA_ROOT) / "unfinished"


# Beginning, or going on.


def begin(user: User, name: str, size: int, sha256: str) -> Upload:
    """A new upload, or the one that was begun with the same words, as far as it is."""
    upload = _said(user, name, size, sha256)
    sweep()
    if _is_there(upload):
        return replace(upload, received=size, done=True)
    if (upload.folder / "upload.json").is_file():
        return _gone_on_with(user, upload)
    _check_room(user, size)
    upload.folder.mkdir(parents=True, exist_ok=True)
    _keep(upload)
    return upload


def _gone_on_with(user: User, upload: Upload) -> Upload:
    """As far as it is; if only its name was missing when the site stopped, it gets it now."""
    known = find(user, uuid.UUID(upload.id))
    if known.received < known.bytes:
        return known
    with _alone(known) as whole:
        return _finish(whole)


def _said(user: User, name: str, size: int, sha256: str) -> Upload:
    """What somebody announces, under an id that is made of it."""
    plain = unicodedata.normalize("NFC", name)
    check(plain, size, sha256)
    said = f"tiebreak-upload:{user.pk}:{plain}:{size}:{sha256}"
    return Upload(str(uuid.uuid5(uuid.NAMESPACE_OID, said)), user.pk, plain, size, sha256)


def _is_there(upload: Upload) -> bool:
    """Whether the file lies there already; a conflict if another one does."""
    target = upload.target
    _refuse_file_as_folder(upload)
    if not target.exists():
        return False
    same_size = target.is_file() and target.stat().st_size == upload.bytes
    if same_size and sha256_of(target) == upload.sha256:
        return True
    raise VoteConflict(
        f"There is another file at {upload.path} already; nothing is replaced. Take another name."
    )


def _refuse_file_as_folder(upload: Upload) -> None:
    for folder in list(upload.target.parents)[: upload.name.count("/")]:
        if folder.is_file():
            raise VoteConflict(f"{folder.name} in {upload.name} is a file there, not a folder.")


def _check_room(user: User, size: int) -> None:
    if sum(each.user == user.pk for each in _all()) >= _MOST:
        raise UploadRefused(
            f"You have {_MOST} unfinished uploads; finish one, or drop it by DELETE."
        )
    root = _unfinished()
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if size + _SPARE > free:
        raise DiskFull(
            f"The server has no room for {size:,} bytes: {max(0, free - _SPARE):,} are left."
            " Ask the operator."
        )


# Looking.


def find(user: User, upload_id: uuid.UUID) -> Upload:
    """An unfinished upload of this person."""
    upload = _read(_unfinished() / str(upload_id))
    if upload is None or upload.user != user.pk:
        raise NotFound("There is no such unfinished upload of yours; begin it again by POST.")
    return upload


def unfinished_of(user: User) -> list[Upload]:
    return [each for each in _all() if each.user == user.pk]


def _all() -> Iterator[Upload]:
    for folder in sorted(_unfinished().glob("*")):
        if (upload := _read(folder)) is not None:
            yield upload


def _read(folder: Path) -> Upload | None:
    """None, where it is gone, or was cut off before it was written down."""
    if not (file := folder / "upload.json").is_file():
        return None
    values: dict[str, Any] = read_json(file, SCHEMA)
    return Upload(**{key: value for key, value in values.items() if key != "schema"})


def _keep(upload: Upload) -> None:
    write_json(upload.folder / "upload.json", SCHEMA, asdict(upload))


# Sending.


def add_part(user: User, upload_id: uuid.UUID, offset: int, length: int, stream: Reader) -> Upload:
    """Write a part behind what is here; with the last one the file gets its name.

    What counts as received is written down after the bytes are on the disk, so a part that was cut
    off in its middle is not here.
    """
    with _alone(find(user, upload_id)) as upload:
        _check_part(upload, offset, length)
        with upload.data.open("r+b" if upload.data.exists() else "w+b") as file:
            file.truncate(upload.received)
            file.seek(upload.received)
            _copy(stream, file, length)
            file.flush()
            os.fsync(file.fileno())
        longer = replace(upload, received=upload.received + length)
        _keep(longer)
        return _finish(longer) if longer.received == longer.bytes else longer


def _check_part(upload: Upload, offset: int, length: int) -> None:
    if offset != upload.received:
        raise UploadOutOfStep(
            f"The part begins at byte {offset}, but {upload.received} bytes are here: go on there.",
            received=upload.received,
        )
    most = min(PART, upload.bytes - upload.received)
    if not 0 < length <= most:
        raise UploadRefused(f"A part of {length} bytes was announced; expected 1 to {most}.")


def _copy(stream: Reader, file: IO[bytes], length: int) -> None:
    left = length
    while left:
        chunk = stream.read(min(_CHUNK, left))
        if not chunk:
            raise UploadRefused(f"The part ends after {length - left} of {length} bytes.")
        file.write(chunk)
        left -= len(chunk)


def _finish(upload: Upload) -> Upload:
    """The file under its name, if it is what was announced; begun again otherwise."""
    if sha256_of(upload.data) != upload.sha256:
        _keep(replace(upload, received=0))
        raise UploadRefused(
            f"What was sent for {upload.name} has another sha256 than was announced; it has been"
            " dropped. Send it again from byte 0.",
            received=0,
        )
    target = upload.target
    target.parent.mkdir(parents=True, exist_ok=True)
    _give_name(upload, target)
    fsync_folder(target.parent)
    shutil.rmtree(upload.folder, ignore_errors=True)
    return replace(upload, done=True)


def _give_name(upload: Upload, target: Path) -> None:
    """Whole or not at all, and never over another file."""
    aside = target.with_name(f".{target.name}.{upload.id}")
    aside.unlink(missing_ok=True)
    link_or_copy(upload.data, aside)
    try:
        os.link(aside, target)
    except FileExistsError:
        _is_there(upload)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _alone(upload: Upload) -> Iterator[Upload]:
    """As it is now, with nobody else writing: two parts at once would mix."""
    try:
        handle = os.open(upload.folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except FileNotFoundError:
        raise NotFound("This upload was finished or dropped meanwhile.") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        now = _read(upload.folder)
        if now is None:
            raise NotFound("This upload was finished or dropped meanwhile.")
        yield now
    except BlockingIOError:
        raise VoteConflict(
            "Another part of this upload is being written; ask how far it is in a moment."
        ) from None
    finally:
        os.close(handle)


# Dropping.


def drop(user: User, upload_id: uuid.UUID) -> None:
    with _alone(find(user, upload_id)) as upload:
        shutil.rmtree(upload.folder, ignore_errors=True)


def sweep() -> None:
    """Remove what nobody has gone on with for two days."""
    for folder in _unfinished().glob("*"):
        with suppress(OSError):  # another sweep was quicker, or a part is coming in
            _sweep(folder)


def _sweep(folder: Path) -> None:
    before = _read(folder)
    if time.time() - folder.stat().st_mtime <= _FORGOTTEN:
        return
    handle = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _read(folder) == before:  # nobody went on with it just now
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)
