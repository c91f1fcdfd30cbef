"""Archives of strangers cannot escape, explode or say two things at once (RELIABILITY M5)."""

import os
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from annotation.errors import ImportRefused
from annotation.media.archives import Limits, unpack

CLIP = os.urandom(2000)
Make = Callable[[Path], None]


def pack(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], deflate: bool = False) -> None:
    method = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)


def named(*names: str) -> Make:
    """Names that Python's own writer would mend are written byte by byte afterwards."""

    def make(path: Path) -> None:
        stand_ins = [("x" * (len(name.encode()) - 2)) + f"{n:02d}" for n, name in enumerate(names)]
        pack(path, *((each, CLIP) for each in stand_ins))
        data = path.read_bytes()
        for stand_in, name in zip(stand_ins, names, strict=True):
            data = data.replace(stand_in.encode(), name.encode())
        path.write_bytes(data)

    return make


def symlink(path: Path) -> None:
    info = zipfile.ZipInfo("link.mp4")
    info.external_attr = (0o120777 << 16) | 0
    pack(path, (info, b"/etc/passwd"))


def encrypted(path: Path) -> None:
    pack(path, ("a.mp4", CLIP))
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + at] |= 1
    path.write_bytes(data)


def nested(path: Path) -> None:
    pack(path.with_name("inner.zip"), ("a.mp4", CLIP))
    pack(path, ("b.mp4", path.with_name("inner.zip").read_bytes()))


def overlapping(path: Path) -> None:
    """Two entries of the list show the same bytes, as in the bombs of D. Fifield."""
    pack(path, ("a.mp4", CLIP), ("b.mp4", CLIP))
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    struct.pack_into("<L", data, second + 42, 0)
    path.write_bytes(data)


def bomb(path: Path) -> None:
    pack(path, ("a.mp4", bytes(40 << 20)), deflate=True)


def many(path: Path) -> None:
    pack(path, *((f"{number}.mp4", b"") for number in range(60_000)))


def zip64(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w") as archive,
        archive.open("a.mp4", "w", force_zip64=True) as file,
    ):
        file.write(CLIP)


def zip64_end(path: Path) -> None:
    """The end record leaves its figures to a zip64 record that says otherwise."""
    pack(path, ("a.mp4", CLIP))
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\x05\x06")
    struct.pack_into("<L", data, end + 16, 0xFFFFFFFF)
    path.write_bytes(data)


def lying_descriptor(path: Path) -> None:
    """Python reads by the list; another reader would believe the figures behind the bytes."""
    described(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x07\x08")
    struct.pack_into("<L", data, at + 12, 7)
    path.write_bytes(data)


def described(path: Path) -> None:
    with path.open("wb") as file, zipfile.ZipFile(_Stream(file), "w") as archive:  # type: ignore[arg-type]
        archive.writestr("a.mp4", CLIP)


class _Stream:
    """A file that cannot seek, so that the writer puts the sizes behind the bytes."""

    def __init__(self, file: object) -> None:
        self.write = file.write  # type: ignore[attr-defined]
        self.flush = file.flush  # type: ignore[attr-defined]


def prefixed(path: Path) -> None:
    pack(path, ("a.mp4", CLIP))
    path.write_bytes(b"#!/bin/sh\nexit\n" + path.read_bytes())


def suffixed(path: Path) -> None:
    pack(path, ("a.mp4", CLIP))
    path.write_bytes(path.read_bytes() + b"<script>alert(1)</script>")


def padded(path: Path) -> None:
    """Bytes between the last member and the list belong to nobody."""
    pack(path, ("a.mp4", CLIP))
    data = path.read_bytes()
    at, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    moved = bytearray(data[end:])
    struct.pack_into("<L", moved, 16, at + 9)
    path.write_bytes(data[:at] + b"a payload" + data[at:end] + moved)


def local_name_differs(path: Path) -> None:
    pack(path, ("a.mp4", CLIP))
    path.write_bytes(path.read_bytes().replace(b"a.mp4", b"b.mp4", 1))


def smaller_than_it_unpacks(path: Path) -> None:
    pack(path, ("a.mp4", bytes(5000)), deflate=True)
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<L", data, data.index(signature) + at, 10)
    path.write_bytes(data)


def wrong_sum(path: Path) -> None:
    pack(path, ("a.mp4", CLIP))
    data = path.read_bytes()
    crc = struct.pack("<L", zlib.crc32(CLIP))
    path.write_bytes(data.replace(crc, b"\1\2\3\4"))


HOSTILE: dict[str, tuple[Make, str]] = {
    "out of the folder": (named("../../escaped.mp4"), "leads out of its folder"),
    "absolute": (named("/tmp/escaped.mp4"), "begins at the root"),
    "drive letter": (named("C:/escaped.mp4"), "drive letter"),
    "backslash": (named("..\\..\\escaped.mp4"), "backslash"),
    "symlink": (symlink, "is a link"),
    "duplicate": (named("clips/a.mp4", "clips/a.mp4"), "comes twice"),
    "case clash": (named("clips/a.mp4", "clips/A.mp4"), "by case only"),
    "NUL": (named("a.mp4\0.txt"), "control character"),
    "newline": (named("a\nb.mp4"), "control character"),
    "long name": (named("a" * 300 + ".mp4"), "has 304 letters"),
    "nested": (nested, "is an archive itself"),
    "overlap": (overlapping, "does not follow"),
    "ratio": (bomb, "more than 50 times its size"),
    "many": (many, "60000 members"),
    "zip64": (zip64, "differ"),
    "zip64 end": (zip64_end, "zip|end"),
    "lying descriptor": (lying_descriptor, "figures behind"),
    "prefix": (prefixed, "before its first member"),
    "suffix": (suffixed, "follows its end|cannot be read"),
    "padding": (padded, "does not end where"),
    "two names": (local_name_differs, "differently|differ"),
    "lying size": (smaller_than_it_unpacks, "damaged"),
    "wrong sum": (wrong_sum, "damaged"),
    "encrypted": (encrypted, "encrypted"),
    "no archive": (lambda path: path.write_bytes(CLIP) and None, "cannot be read as a zip"),
    "empty": (lambda path: path.write_bytes(b"") and None, "cannot be read as a zip"),
}


@pytest.mark.promise("M5")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_at_once_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    make, words = HOSTILE[name]
    archive = tmp_path / "in" / "clips.zip"
    archive.parent.mkdir()
    make(archive)
    before = sorted(tmp_path.rglob("*"))
    started = time.process_time()  # another's work on this machine is not the archive's
    with pytest.raises(ImportRefused, match=words):
        unpack(archive, tmp_path / "out" / "deep")
    assert time.process_time() - started < 2
    left = [each for each in sorted(tmp_path.rglob("*")) if each not in before]
    assert [each for each in left if each.is_file()] == []


def test_a_plain_archive_is_unpacked_under_names_of_ours(tmp_path: Path) -> None:
    archive = tmp_path / "clips.zip"
    pack(
        archive,
        ("clips/", b""),
        ("clips/a b.mp4", CLIP),
        ("__MACOSX/clips/._a b.mp4", b"x"),
        ("manifest.csv", b"file,prompt\n" * 900),
        deflate=True,
    )
    found = unpack(archive, tmp_path / "out")
    assert set(found) == {"clips/a b.mp4", "manifest.csv"}
    assert found["clips/a b.mp4"].read_bytes() == CLIP
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["0", "1"]


def test_an_archive_written_as_a_stream_is_taken(tmp_path: Path) -> None:
    described(tmp_path / "a.zip")
    assert unpack(tmp_path / "a.zip", tmp_path / "out")["a.mp4"].read_bytes() == CLIP


@pytest.mark.promise("M5")
def test_the_size_is_counted_while_reading(tmp_path: Path) -> None:
    pack(tmp_path / "a.zip", ("a.mp4", CLIP), ("b.mp4", CLIP))
    with pytest.raises(ImportRefused, match=r"'b\.mp4' unpacks to more than we take"):
        unpack(tmp_path / "a.zip", tmp_path / "out", limits=Limits(total_bytes=3000))
    assert not (tmp_path / "out").exists()
