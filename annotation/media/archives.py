"""Zip archives that strangers pack: taken whole, under names of ours, or refused in a sentence.

Every check comes before the first byte is written. What the archive calls its members never becomes
a path: they are written as 0, 1, 2 … into a folder of ours, and the caller gets a map from their
names to those files. Sizes are counted while reading; the archive's own figures are claims.
"""

import shutil
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from annotation.errors import ImportRefused

_LOCAL: Final = struct.Struct("<4s5H3L2H")  # the header that stands before each member's bytes
_END: Final = struct.Struct("<4s4H2LH")
_DESCRIPTOR: Final = struct.Struct("<3L")  # crc, packed size, size; a signature may come first
_DESCRIPTOR_SIGNATURE: Final = b"PK\x07\x08"
_ENCRYPTED, _DESCRIBED = 0x1, 0x8
_CHUNK: Final = 1 << 20
_MAX_NAME: Final = 255
# An archive in an archive would be unpacked by nobody, or by somebody with fewer checks.
_NESTED: Final = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"7z\xbc\xaf",
    b"\xfd7zXZ",
    b"Rar!",
    b"BZh",
)
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OF_A_SYSTEM: Final = ("__MACOSX/",)  # what a Mac adds by itself


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold. Clips do not shrink, so a high ratio is a bomb."""

    members: int = 20_000
    member_bytes: int = 2 << 30
    total_bytes: int = 64 << 30
    ratio: int = 50
    ratio_from: int = 8 << 20  # below, text such as a manifest may shrink as it likes


DEFAULT: Final = Limits()


def unpack(
    archive: Path,
    folder: Path,
    *,
    limits: Limits = DEFAULT,
    only: Callable[[str], bool] | None = None,
) -> dict[str, Path]:
    """Write the members below `folder`; give {name in the archive: file}, or raise ImportRefused.

    With `only` the others are named, and checked as far as can be without unpacking, but not
    written. A refused archive leaves nothing behind.
    """
    members = _checked(archive, limits)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            return _written(archive, opened, members, folder, limits, only or (lambda _name: True))
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _refused(archive, f"it is damaged: {error}") from None
    except ImportRefused:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _refused(archive: Path, why: str) -> ImportRefused:
    return ImportRefused(f"the archive {archive.name} is refused: {why}", path=str(archive))


# Before the first byte is written: names, kinds and places of the members.


def _checked(archive: Path, limits: Limits) -> list[zipfile.ZipInfo]:
    """The members that hold files, after all checks that need no unpacking."""
    try:
        with zipfile.ZipFile(archive) as opened, archive.open("rb") as raw:
            members = opened.infolist()
            if len(members) > limits.members:
                raise _refused(
                    archive, f"it has {len(members)} members; expected at most {limits.members}"
                )
            _check_frame(archive, opened, raw)
            _check_layout(archive, members, raw, opened.start_dir)
    except (zipfile.BadZipFile, EOFError, OSError, struct.error, ValueError) as error:
        raise _refused(archive, f"it cannot be read as a zip archive: {error}") from None
    _check_names(archive, members)
    for member in members:
        _check_kind(archive, member)
    return [each for each in members if not each.is_dir() and not _is_of_a_system(each)]


def _is_of_a_system(member: zipfile.ZipInfo) -> bool:
    return member.filename.startswith(_OF_A_SYSTEM) or member.filename.endswith(".DS_Store")


def _check_frame(archive: Path, opened: zipfile.ZipFile, raw: IO[bytes]) -> None:
    """The archive begins with its first member and ends with its end record."""
    size = archive.stat().st_size
    raw.seek(max(0, size - _END.size - len(opened.comment)))
    fields = _END.unpack(raw.read(_END.size))
    if fields[0] != b"PK\x05\x06" or fields[7] != len(opened.comment):
        raise _refused(archive, "something follows its end")
    entries, length, start = fields[4], fields[5], fields[6]
    if entries == 0xFFFF or start == 0xFFFFFFFF or length == 0xFFFFFFFF:
        raise _refused(archive, "it is a zip64 archive; pack at most 4 GB into one")
    if start != opened.start_dir or start + length != size - _END.size - len(opened.comment):
        raise _refused(archive, "something stands before its first member or after its last")
    if entries != len(opened.infolist()):
        raise _refused(archive, f"it counts {entries} members, but lists {len(opened.infolist())}")


def _check_layout(
    archive: Path, members: Sequence[zipfile.ZipInfo], raw: IO[bytes], end: int
) -> None:
    """The members lie one behind the other: none overlaps another, no bytes lie between them."""
    place = 0
    for member in sorted(members, key=lambda each: each.header_offset):
        if member.header_offset != place:
            raise _refused(
                archive, f"its member {_shown(member)} does not follow the one before it"
            )
        place = _end_of(archive, member, raw)
    if place != end:
        raise _refused(archive, "its last member does not end where its list begins")


def _end_of(archive: Path, member: zipfile.ZipInfo, raw: IO[bytes]) -> int:
    """Where the member ends; its own header must say what the list at the end says."""
    raw.seek(member.header_offset)
    fields = _LOCAL.unpack(raw.read(_LOCAL.size))
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = fields
    name = raw.read(name_length)
    said = (member.flag_bits, member.compress_type)
    known = (member.CRC, member.compress_size, member.file_size)
    figures = (0, 0, 0) if flags & _DESCRIBED and (crc, packed, size) == (0, 0, 0) else known
    if signature != b"PK\x03\x04" or (flags, method) != said or (crc, packed, size) != figures:
        raise _refused(archive, f"the list and the header of {_shown(member)} differ")
    if name != _raw_name(member):
        raise _refused(archive, f"the list and the header name {_shown(member)} differently")
    end: int = member.header_offset + _LOCAL.size + name_length + extra_length
    end += member.compress_size
    return end + (_descriptor(archive, member, raw, end) if flags & _DESCRIBED else 0)


def _raw_name(member: zipfile.ZipInfo) -> bytes:
    return member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437")


def _descriptor(archive: Path, member: zipfile.ZipInfo, raw: IO[bytes], at: int) -> int:
    """Length of the figures that follow the member's bytes; they must say what the list says."""
    raw.seek(at)
    block = raw.read(_DESCRIPTOR.size + 4)
    signed = 4 if block.startswith(_DESCRIPTOR_SIGNATURE) else 0
    found = _DESCRIPTOR.unpack(block[signed : signed + _DESCRIPTOR.size])
    if found != (member.CRC, member.compress_size, member.file_size):
        raise _refused(archive, f"the figures behind {_shown(member)} differ from the list")
    return signed + _DESCRIPTOR.size


def _check_names(archive: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    seen: dict[str, str] = {}
    for member in members:
        name = member.orig_filename
        if why := _bad_name(name):
            raise _refused(archive, f"the name of its member {_shown(member)} {why}")
        key = unicodedata.normalize("NFC", name).casefold().rstrip("/")
        if key in seen:
            how = "comes twice" if seen[key] == name else f"differs from {seen[key]!r} by case only"
            raise _refused(archive, f"its member {_shown(member)} {how}")
        seen[key] = name


def _bad_name(name: str) -> str:
    if not name or len(name) > _MAX_NAME:
        return f"has {len(name)} letters; expected 1 to {_MAX_NAME}"
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        return "has a control character"
    if "\\" in name or name[1:2] == ":":
        return "has a backslash or a drive letter"
    if name.startswith("/"):
        return "begins at the root"
    if {"..", ".", ""} & set(name.rstrip("/").split("/")):
        return "leads out of its folder"
    return ""


def _check_kind(archive: Path, member: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(archive, f"its member {_shown(member)} is a link or a device, not a file")
    if member.flag_bits & _ENCRYPTED:
        raise _refused(archive, f"its member {_shown(member)} is encrypted")
    if member.compress_type not in _METHODS:
        raise _refused(archive, f"its member {_shown(member)} is packed in an unusual way")


def _shown(member: zipfile.ZipInfo) -> str:
    return repr(member.orig_filename[:80])


# Unpacking, with sizes counted as the bytes come.


def _written(
    archive: Path,
    opened: zipfile.ZipFile,
    members: Sequence[zipfile.ZipInfo],
    folder: Path,
    limits: Limits,
    only: Callable[[str], bool],
) -> dict[str, Path]:
    files, total = {}, 0
    for number, member in enumerate(members):
        target = files[member.filename] = folder / str(number)
        if not only(member.filename):
            continue
        allowed = min(limits.member_bytes, limits.total_bytes - total)
        with opened.open(member) as source, target.open("wb") as copy:
            for chunk in _counted(archive, member, source, allowed, limits):
                copy.write(chunk)
                total += len(chunk)
    return files


def _counted(
    archive: Path, member: zipfile.ZipInfo, source: IO[bytes], allowed: int, limits: Limits
) -> Iterator[bytes]:
    size = 0
    while chunk := source.read(_CHUNK):
        if not size and chunk.startswith(_NESTED):
            raise _refused(archive, f"its member {_shown(member)} is an archive itself")
        size += len(chunk)
        if size > allowed:
            raise _refused(archive, f"its member {_shown(member)} unpacks to more than we take")
        if size > limits.ratio_from and size > limits.ratio * member.compress_size:
            raise _refused(
                archive,
                f"its member {_shown(member)} unpacks to more than {limits.ratio} times its size",
            )
        yield chunk
