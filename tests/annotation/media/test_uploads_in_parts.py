"""Files that programs send in parts: whole under their name or not there, wherever cut off."""

import hashlib
import io
import os
import random
import shutil
import signal
import time
import uuid
import warnings
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.accounts.tokens import make_token
from annotation.errors import AnnotationError, NotFound, VoteConflict
from annotation.media import uploads
from annotation.media.upload_rules import DiskFull, UploadOutOfStep, UploadRefused
from annotation.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART", 1000)


def content(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def begun(user: Any, data: bytes, name: str = "batch/0.mp4") -> uploads.Upload:
    return uploads.begin(user, name, len(data), hashlib.sha256(data).hexdigest())


def send(user: Any, upload: uploads.Upload, data: bytes) -> uploads.Upload:
    """The rest of the file, part by part."""
    while not upload.done:
        part = data[upload.received : upload.received + uploads.PART]
        key = uuid.UUID(upload.id)
        upload = uploads.add_part(user, key, upload.received, len(part), io.BytesIO(part))
    return upload


def lying(settings: Any) -> dict[str, bytes]:
    """All files that imports could see, by name."""
    root = Path(settings.MEDIA_ROOT) / "incoming"
    files = (each for each in root.rglob("*") if each.is_file())
    return {each.relative_to(root).as_posix(): each.read_bytes() for each in files}


def test_a_file_gets_its_name_with_its_last_byte(lee: Any, settings: Any) -> None:
    data = content(2500)
    upload = begun(lee, data)
    part = uploads.add_part(lee, uuid.UUID(upload.id), 0, 1000, io.BytesIO(data[:1000]))
    assert (part.received, part.done, lying(settings)) == (1000, False, {})
    assert uploads.unfinished_of(lee) == [part]
    assert send(lee, part, data).done
    assert lying(settings) == {"uploads/batch/0.mp4": data}
    assert uploads.unfinished_of(lee) == []


def test_the_same_words_give_the_same_upload_and_a_whole_file_is_not_sent_again(lee: Any) -> None:
    data = content(1500)
    first = begun(lee, data)
    uploads.add_part(lee, uuid.UUID(first.id), 0, 1000, io.BytesIO(data))
    again = begun(lee, data)
    assert (again.id, again.received) == (first.id, 1000)
    send(lee, again, data)
    whole = begun(lee, data)
    assert (whole.done, whole.received, whole.path) == (True, 1500, "uploads/batch/0.mp4")


class Cut:
    """A connection that breaks after so many bytes."""

    def __init__(self, data: bytes, after: int, *, loud: bool) -> None:
        self.rest, self.loud = io.BytesIO(data[:after]), loud

    def read(self, size: int, /) -> bytes:
        chunk = self.rest.read(size)
        if not chunk and self.loud:
            raise OSError("connection reset")
        return chunk


def send_with_cuts(user: Any, seed: int, settings: Any) -> int:
    """Send a file whose connection breaks half of the time; how often it did."""
    chance, data = random.Random(seed), content(4321, seed)
    cuts = 0
    upload = begun(user, data)
    while not upload.done:
        length = min(uploads.PART, len(data) - upload.received)
        part, key = data[upload.received :], uuid.UUID(upload.id)
        if chance.random() < 0.5:
            cut = Cut(part, chance.randrange(length), loud=chance.random() < 0.5)
            with pytest.raises((OSError, UploadRefused)):
                uploads.add_part(user, key, upload.received, length, cut)
            assert begun(user, data).received == upload.received
            cuts += 1
        else:
            upload = uploads.add_part(user, key, upload.received, length, io.BytesIO(part))
        assert lying(settings) in ({}, {"uploads/batch/0.mp4": data})
    assert lying(settings) == {"uploads/batch/0.mp4": data}
    return cuts


@pytest.mark.parametrize("seed", range(5))
def test_an_upload_that_is_cut_anywhere_goes_on_and_is_never_half_there(
    seed: int, lee: Any, settings: Any
) -> None:
    assert send_with_cuts(lee, seed, settings)


def test_a_site_that_counts_what_it_did_not_get_would_be_found(
    lee: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: a part counts as announced, however much of it came."""
    monkeypatch.setattr(uploads, "_copy", lambda stream, file, size: file.write(stream.read(size)))
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        send_with_cuts(lee, 0, settings)


class Deadly(io.BytesIO):
    """Kills the process that reads it, some bytes into the part."""

    def read(self, _size: int | None = -1, /) -> bytes:
        chunk = super().read(100)
        if not chunk:
            os.kill(os.getpid(), signal.SIGKILL)
        return chunk


def killed_in_a_part(user: Any, upload: uploads.Upload, data: bytes, after: int) -> None:
    length = min(uploads.PART, len(data) - upload.received)
    part = Deadly(data[upload.received :][:after])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child does nothing but files
        child = os.fork()
    if child == 0:
        try:
            uploads.add_part(user, uuid.UUID(upload.id), upload.received, length, part)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("seed", range(3))
def test_a_site_that_is_killed_in_the_middle_of_a_part_goes_on_behind_the_last_whole_one(
    seed: int, lee: Any, settings: Any
) -> None:
    chance, data = random.Random(seed), content(3500, seed)
    upload = begun(lee, data)
    while not upload.done:
        killed_in_a_part(lee, upload, data, chance.randrange(1, 500))
        assert lying(settings) == {}
        assert begun(lee, data).received == upload.received
        part = data[upload.received : upload.received + uploads.PART]
        key = uuid.UUID(upload.id)
        upload = uploads.add_part(lee, key, upload.received, len(part), io.BytesIO(part))
    assert lying(settings) == {"uploads/batch/0.mp4": data}


@pytest.mark.parametrize("act", ["sha256_of", "link_or_copy", "fsync_folder"])
def test_an_upload_whose_end_is_cut_off_is_finished_when_it_is_asked_for(
    act: str, lee: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = content(900)

    def killed(*_words: Any) -> None:
        raise KeyboardInterrupt

    upload = begun(lee, data)
    with monkeypatch.context() as broken:
        broken.setattr(uploads, act, killed)
        with pytest.raises(KeyboardInterrupt):
            send(lee, upload, data)
    assert lying(settings) in ({}, {"uploads/batch/0.mp4": data})
    assert begun(lee, data).done
    assert lying(settings) == {"uploads/batch/0.mp4": data}


def in_the_middle_of_a_part(user: Any, data: bytes) -> AnnotationError | None:
    """What somebody is told who sends the same part while it is being written."""
    upload, said = begun(user, data), []

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if not said:
                said.append(None)
                try:
                    key = uuid.UUID(upload.id)
                    uploads.add_part(user, key, 0, len(data), io.BytesIO(data))
                except AnnotationError as error:
                    said[0] = error
            return super().read(size)

    uploads.add_part(user, uuid.UUID(upload.id), 0, len(data), Slow(data))
    return said[0]


def test_two_parts_are_never_written_at_once(lee: Any, settings: Any) -> None:
    told = in_the_middle_of_a_part(lee, content(800))
    assert isinstance(told, VoteConflict)
    assert lying(settings) == {"uploads/batch/0.mp4": content(800)}


def test_without_the_lock_two_parts_are_written_at_once(
    lee: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: nobody is told to wait, and one of them meets what the other has removed."""
    monkeypatch.setattr("annotation.media.uploads.fcntl.flock", lambda *_words: None)
    try:
        told = in_the_middle_of_a_part(lee, content(800))
    except OSError:
        told = None
    assert told is None


def test_a_part_that_begins_elsewhere_is_told_where_to_go_on(lee: Any) -> None:
    data = content(3000)
    key = uuid.UUID(begun(lee, data).id)
    uploads.add_part(lee, key, 0, 1000, io.BytesIO(data))
    for offset in (0, 500, 2000):
        with pytest.raises(UploadOutOfStep, match="1000 bytes are here") as told:
            uploads.add_part(lee, key, offset, 1000, io.BytesIO(data))
        assert told.value.details == {"received": 1000}


def test_other_bytes_than_announced_are_dropped(lee: Any, settings: Any) -> None:
    data = content(500)
    upload = begun(lee, data)
    with pytest.raises(UploadRefused, match="another sha256 than was announced"):
        send(lee, upload, bytes(500))
    assert lying(settings) == {}
    assert send(lee, begun(lee, data), data).done


def test_nothing_is_replaced(lee: Any, mia: Any, settings: Any) -> None:
    data, other = content(700), content(700, 1)
    late = begun(mia, other)
    send(lee, begun(lee, data), data)
    for act in (lambda: begun(lee, other), lambda: send(mia, late, other)):
        with pytest.raises(VoteConflict, match="nothing is replaced"):
            act()
    assert lying(settings) == {"uploads/batch/0.mp4": data}


def test_a_file_is_no_folder_and_a_folder_no_file(lee: Any) -> None:
    send(lee, begun(lee, b"x", "a.mp4"), b"x")
    with pytest.raises(VoteConflict, match=r"a\.mp4 in a\.mp4/b\.mp4 is a file there"):
        begun(lee, b"y", "a.mp4/b.mp4")
    send(lee, begun(lee, b"x", "b.mp4/c.mp4"), b"x")
    with pytest.raises(VoteConflict, match="another file at"):
        begun(lee, b"y", "b.mp4")


BAD_NAMES = [
    "", "../0.mp4", "/etc/0.mp4", "a/../0.mp4", "a//0.mp4", "a\\0.mp4", ".hidden.mp4", "a/.b/0.mp4",
    "0.mp4\n", "0\0.mp4", "a/b/c/d/e/f/0.mp4", "x" * 300 + ".mp4", "evil.sh", "weights.safetensors",
    "state.pt", "noending", "C:/0.mp4", "0.mp4/", "a./0.mp4", "0.mp4 ", "東" * 80 + ".mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_leads_elsewhere_is_refused(name: str, lee: Any, settings: Any) -> None:
    with pytest.raises(UploadRefused):
        begun(lee, b"x", name)
    assert lying(settings) == {}


@pytest.mark.parametrize("name", ["0.mp4", "Serie (2)/ß=é.MP4", "東京/clips.zip", "a,b+c/d@e.csv"])
def test_a_plain_name_is_taken(name: str, lee: Any, settings: Any) -> None:
    send(lee, begun(lee, b"x", name), b"x")
    assert set(lying(settings)) == {f"uploads/{name}"}


def test_sizes_and_hashes_that_cannot_be_are_refused(lee: Any, settings: Any) -> None:
    settings.TIEBREAK_UPLOAD_GB = 1 / (1 << 20)  # 1024 bytes
    for size in (0, -1, 1025):
        with pytest.raises(UploadRefused, match=f"has {size} bytes; expected 1 to 1024"):
            uploads.begin(lee, "0.mp4", size, "0" * 64)
    for sha256 in ("", "0" * 63, "G" * 64, "A" * 64):
        with pytest.raises(UploadRefused, match="64 small hex digits"):
            uploads.begin(lee, "0.mp4", 5, sha256)


def test_a_part_is_neither_empty_nor_too_long(lee: Any) -> None:
    upload = begun(lee, content(1500))
    for length in (0, 1001):
        with pytest.raises(UploadRefused, match="expected 1 to 1000"):
            uploads.add_part(lee, uuid.UUID(upload.id), 0, length, io.BytesIO(content(1500)))


def test_a_full_disk_is_said_before_the_first_byte(
    lee: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_SPARE", 1 << 60)
    with pytest.raises(DiskFull, match="no room for 5 bytes: 0 are left"):
        begun(lee, b"12345")


def test_nobody_keeps_too_many_unfinished_or_forgets_them_for_ever(
    lee: Any, mia: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_MOST", 2)
    for seed in range(2):
        begun(lee, content(10, seed), f"{seed}.mp4")
    with pytest.raises(UploadRefused, match="2 unfinished uploads"):
        begun(lee, content(10, 2), "2.mp4")
    begun(mia, content(10, 2), "2.mp4")
    old = uploads.unfinished_of(lee)[0]
    os.utime(old.folder, (time.time() - 3 * 86400,) * 2)
    assert begun(lee, content(10, 2), "2.mp4")
    assert old not in uploads.unfinished_of(lee)


def test_a_part_that_comes_in_is_not_swept_away(lee: Any, mia: Any) -> None:
    data = content(1500)
    upload = begun(lee, data)
    uploads.add_part(lee, uuid.UUID(upload.id), 0, 1000, io.BytesIO(data[:1000]))
    os.utime(upload.folder, (time.time() - 3 * 86400,) * 2)

    class Rest(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            begun(mia, b"other")  # sweeps
            return super().read(size)

    assert uploads.add_part(lee, uuid.UUID(upload.id), 1000, 500, Rest(data[1000:])).done


def test_an_upload_that_somebody_goes_on_with_is_not_swept_away(
    lee: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = content(1500)
    upload = begun(lee, data)
    os.utime(upload.folder, (time.time() - 3 * 86400,) * 2)
    plain = os.open

    def go_on(path: Any, *given: Any) -> int:
        monkeypatch.setattr(os, "open", plain)
        uploads.add_part(lee, uuid.UUID(upload.id), 0, 1000, io.BytesIO(data[:1000]))
        return plain(path, *given)

    monkeypatch.setattr(os, "open", go_on)
    uploads.sweep()
    assert uploads.find(lee, uuid.UUID(upload.id)).received == 1000


def test_two_sweeps_at_once_do_not_hinder_each_other(
    lee: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_all = [begun(lee, content(10, seed), f"{seed}.mp4") for seed in range(3)]
    for upload in begun_all:
        os.utime(upload.folder, (time.time() - 3 * 86400,) * 2)
    plain = shutil.rmtree

    def rmtree(_path: Path, **_options: Any) -> None:
        for each in uploads._unfinished().glob("*"):  # the other one
            plain(each)

    monkeypatch.setattr(uploads.shutil, "rmtree", rmtree)
    uploads.sweep()
    assert uploads.unfinished_of(lee) == []


def test_uploads_of_others_are_not_there(lee: Any, mia: Any) -> None:
    upload = begun(lee, b"mine")
    key = uuid.UUID(upload.id)
    for act in (
        lambda: uploads.find(mia, key),
        lambda: uploads.drop(mia, key),
        lambda: uploads.add_part(mia, key, 0, 4, io.BytesIO(b"mine")),
        lambda: uploads.find(lee, uuid.uuid4()),
    ):
        with pytest.raises(NotFound):
            act()
    uploads.drop(lee, key)
    assert uploads.unfinished_of(lee) == []


class Program:
    def __init__(self, user: Any, *scopes: str) -> None:
        self.client = Client(enforce_csrf_checks=True)
        secret = make_token(user, "test", scopes=scopes or ["write:import"])[1]
        self.headers = {"Authorization": f"Bearer {secret}"}

    def begin(self, data: bytes, name: str = "batch/0.mp4") -> Any:
        said = {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        return self.client.post("/api/uploads", said, "application/json", headers=self.headers)

    def part(self, key: str, offset: int, data: bytes) -> Any:
        return self.client.put(
            f"/api/uploads/{key}/parts/{offset}",
            data,
            content_type="application/octet-stream",
            headers=self.headers,
        )


def test_a_program_sends_a_file_by_rest(lee: Any, settings: Any) -> None:
    program, data = Program(lee), content(1500)
    answer = program.begin(data)
    upload = answer.json()
    assert (answer.status_code, upload["received"], upload["part_bytes"]) == (201, 0, 1000)
    assert program.part(upload["id"], 0, data[:1000]).json()["received"] == 1000
    late = program.part(upload["id"], 0, data[:1000])
    assert (late.status_code, late.json()["received"], late.json()["code"]) == (
        409,
        1000,
        "out_of_step",
    )
    assert program.part(upload["id"], 1000, data[1000:]).json()["done"] is True
    assert lying(settings) == {"uploads/batch/0.mp4": data}
    assert AuditEntry.objects.get(act="import.upload").details["name"] == "batch/0.mp4"
    gone = program.client.get(f"/api/uploads/{upload['id']}", headers=program.headers)
    assert gone.status_code == 404


def test_a_token_needs_the_scope_and_its_owner_the_role(lee: Any, alice: Any) -> None:
    assert Program(lee, "read:campaigns").begin(b"x").status_code == 403
    assert Program(alice).begin(b"x").status_code == 403


def test_what_is_no_upload_is_said_in_a_sentence(lee: Any) -> None:
    program = Program(lee)
    bad = program.client.post("/api/uploads", {}, "application/json", headers=program.headers)
    assert (bad.status_code, bad.json()["code"]) == (400, "unreadable")
    assert program.part(str(uuid.uuid4()), 0, b"x").status_code == 404


def test_an_uploaded_folder_is_what_an_import_takes(
    lee: Any, clips: list[Path], settings: Any
) -> None:
    from annotation.campaigns import create_campaign

    program = Program(lee, "write:import", "write:campaigns")
    for n, clip in enumerate(clips[:2]):
        data = clip.read_bytes()
        upload = uploads.begin(lee, f"s/{n}.mp4", len(data), hashlib.sha256(data).hexdigest())
        send(lee, upload, data)
    table = b"path_A,path_B,prompt\n0.mp4,1.mp4,square\n"
    send(lee, begun(lee, table, "s/pairs.csv"), table)
    campaign = create_campaign("c", "videoalign")
    answer = program.client.post(
        f"/api/campaigns/{campaign.pk}/import",
        {"clips": "uploads/s"},
        "application/json",
        headers=program.headers,
    )
    assert answer.json()["triplets"] == 1, answer.content
