"""Tensors out of a file of `torch.save`, without unpickling it.

Such a file is a zip with the numbers of each tensor and a pickle that says which tensor is where. A
pickle is a program; here it is never run. Its instructions are read one by one
(`pickletools.genops`), the few that a table of tensors consists of are followed, and everything
else is refused. No name in the file is ever imported or called. `weights_only=True` of the library
promises the same and was broken twice (CVE-2025-32434, CVE-2026-24747).
"""

import mmap
import pickletools
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from models_rm.errors import CheckpointMismatchError

_DTYPES: Final = {
    "torch BFloat16Storage": torch.bfloat16,
    "torch BoolStorage": torch.bool,
    "torch ByteStorage": torch.uint8,
    "torch CharStorage": torch.int8,
    "torch DoubleStorage": torch.float64,
    "torch FloatStorage": torch.float32,
    "torch HalfStorage": torch.float16,
    "torch IntStorage": torch.int32,
    "torch LongStorage": torch.int64,
    "torch ShortStorage": torch.int16,
}
_LOCAL_HEADER: Final = 30  # bytes of a zip's local file header before its names
_MOST: Final = 64 * 2**20  # of the description: a table of a million tensors has less
_MARK: Final = object()


class NotATableError(Exception):
    """The file holds something that is not a table of tensors."""


@dataclass(frozen=True, slots=True)
class _Name:
    """`module name`, as it stands in the file: a word, not the thing."""

    text: str


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: torch.dtype
    key: str
    count: int


def read_table(path: Path) -> Any:
    """What the file holds: a dictionary of tensors, if it is one of those that models are.

    CheckpointMismatchError for what is no such file, and for one that asks for anything more.
    """
    try:
        with path.open("rb") as file:
            archive = _Archive(file.fileno(), zipfile.ZipFile(file))
            return _Machine(archive).run(archive.description())
    except (NotATableError, struct.error) as error:
        raise CheckpointMismatchError(
            "the file holds more than tensors, so it is not opened: a pickle can run whatever its "
            f"author wanted ({error})",
            path=path,
        ) from error
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError) as error:
        raise CheckpointMismatchError(f"cannot be read: {error}", path=path) from error


class _Archive:
    """The zip: its members where they lie in the file, nothing unpacked."""

    def __init__(self, handle: int, archive: zipfile.ZipFile):
        self.archive = archive
        self.members = {info.filename: info for info in archive.infolist()}
        if len(self.members) != len(archive.infolist()):
            raise NotATableError("two members of the archive have one name")
        self.bytes = mmap.mmap(handle, 0, access=mmap.ACCESS_COPY)
        described = [name for name in self.members if name.endswith("/data.pkl")]
        if len(described) != 1:
            raise NotATableError("expected one data.pkl in the archive")
        self.prefix = described[0].removesuffix("data.pkl")

    def description(self) -> bytes:
        order = self.members.get(f"{self.prefix}byteorder")
        if order is not None and self.archive.read(order) != b"little":
            raise ValueError("its numbers are not little-endian")
        info = self.members[f"{self.prefix}data.pkl"]
        if info.file_size > _MOST:
            raise NotATableError("its description is too long")
        return self.archive.read(info)

    def numbers(self, storage: _Storage) -> torch.Tensor:
        info = self.members.get(f"{self.prefix}data/{storage.key}")
        if info is None or info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"the numbers of storage {storage.key!r} are missing or compressed")
        if info.file_size < storage.count * storage.dtype.itemsize:
            raise ValueError(f"storage {storage.key!r} is shorter than it should be")
        if not storage.count:
            return torch.empty(0, dtype=storage.dtype)
        start = self._start(info)
        if start % storage.dtype.itemsize:
            block = bytearray(self.bytes[start : start + storage.count * storage.dtype.itemsize])
            return torch.frombuffer(block, dtype=storage.dtype)
        return torch.frombuffer(self.bytes, dtype=storage.dtype, count=storage.count, offset=start)

    def _start(self, info: zipfile.ZipInfo) -> int:
        header = self.bytes[info.header_offset : info.header_offset + _LOCAL_HEADER]
        name, extra = struct.unpack("<26xHH", header)
        start: int = info.header_offset + _LOCAL_HEADER + name + extra
        if start + info.file_size > len(self.bytes):
            raise ValueError(f"{info.filename} is cut off")
        return start


class _Machine:
    """Follows the instructions that a table of tensors consists of, and refuses all others."""

    def __init__(self, archive: _Archive):
        self.archive = archive
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, tuple[_Storage, torch.Tensor]] = {}
        self.follow: Mapping[str, Callable[[Any], None]] = {
            **dict.fromkeys(("PROTO", "FRAME"), lambda _: None),
            **dict.fromkeys(_LITERALS, self.stack.append),
            **dict.fromkeys(("BINPUT", "LONG_BINPUT"), self._remember),
            **dict.fromkeys(("BINGET", "LONG_BINGET"), self._recall),
            "MEMOIZE": lambda _: self._remember(len(self.memo)),
            "MARK": lambda _: self.stack.append(_MARK),
            "GLOBAL": lambda text: self.stack.append(_Name(text)),
            "STACK_GLOBAL": self._named,
            "TUPLE": lambda _: self.stack.append(tuple(self._to_mark())),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "SETITEM": lambda _: self._set(self._top(2)),
            "SETITEMS": lambda _: self._set(self._to_mark()),
            "APPEND": lambda _: self._extend(self._top(1)),
            "APPENDS": lambda _: self._extend(self._to_mark()),
            "BINPERSID": lambda _: self.stack.append(self._storage(self._pop())),
            "REDUCE": self._reduce,
            "BUILD": self._build,
        }

    def run(self, program: bytes) -> Any:
        try:
            for instruction, argument, _ in pickletools.genops(program):
                if instruction.name == "STOP":
                    return self._pop()
                self._step(instruction.name, argument)
        except (IndexError, KeyError, TypeError) as error:
            raise NotATableError(f"its description is broken: {error!r}") from error
        raise NotATableError("its description has no end")

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in self.follow:
            self.follow[name](argument)
        else:
            raise NotATableError(f"the instruction {name}")

    def _pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise NotATableError("a mark where a value was expected")
        return value

    def _top(self, count: int) -> list[Any]:
        return [self._pop() for _ in range(count)][::-1]

    def _to_mark(self) -> list[Any]:
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _remember(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def _recall(self, place: int) -> None:
        self.stack.append(self.memo[place])

    def _named(self, _: Any) -> None:
        module, name = self._top(2)
        self.stack.append(_Name(f"{module} {name}"))

    def _tuple(self, count: int) -> None:
        self.stack.append(tuple(self._top(count)))

    def _set(self, values: list[Any]) -> None:
        table = self.stack[-1]
        if not isinstance(table, dict) or len(values) % 2:
            raise NotATableError("an entry of what is no table")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int):
                raise NotATableError("a key that is no text")
            table[key] = value

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise NotATableError("an entry of what is no list")
        self.stack[-1].extend(values)

    def _build(self, _: Any) -> None:
        """Attributes of a table, such as the versions of its modules: of no use here."""
        self._pop()
        if not isinstance(self.stack[-1], dict):
            raise NotATableError("attributes of what is no table")

    def _reduce(self, _: Any) -> None:
        """A call in the program. Three are known by name, and done here; nothing is looked up."""
        called, given = self._top(2)
        text = called.text if isinstance(called, _Name) else "a value"
        if text == "collections OrderedDict" and given == ():
            self.stack.append({})
        elif text == "torch._utils _rebuild_tensor_v2":
            self.stack.append(self._tensor(*given[:4]))
        elif text == "torch._utils _rebuild_parameter" and isinstance(given[0], torch.Tensor):
            self.stack.append(given[0])
        else:
            raise NotATableError(f"a call of {text}")

    def _storage(self, said: Any) -> _Storage:
        word, kind, key, _, count = said
        dtype = _DTYPES.get(kind.text) if isinstance(kind, _Name) else None
        known = word == "storage" and isinstance(key, str) and isinstance(count, int)
        if dtype is None or not known or count < 0:
            raise NotATableError(f"a storage of {kind}")
        return _Storage(dtype, key, count)

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any) -> torch.Tensor:
        whole = (offset, *size, *stride)
        if not isinstance(storage, _Storage) or not all(
            type(each) is int and each >= 0 for each in whole
        ):
            raise NotATableError("a tensor of what are no numbers")
        return torch.as_strided(self._numbers(storage), size, stride, offset)

    def _numbers(self, storage: _Storage) -> torch.Tensor:
        """Tensors that share their numbers go on to share them."""
        if storage.key not in self.storages:
            self.storages[storage.key] = storage, self.archive.numbers(storage)
        first, numbers = self.storages[storage.key]
        if first != storage:
            raise NotATableError(f"storage {storage.key!r} is described in two ways")
        return numbers


_LITERALS: Final = (
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BININT", "BININT1", "BININT2", "LONG1",
    "BINFLOAT",
)  # fmt: skip
_CONSTANTS: Final[Mapping[str, Callable[[], Any]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
