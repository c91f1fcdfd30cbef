"""Files and folders sent to the site in parts; a break is gone on with where it was."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from tiebreak_client import calls
from tiebreak_client.errors import Conflict, DamagedFile, NoAnswer, NotFound, TiebreakError
from tiebreak_client.files import sha256_of
from tiebreak_client.models import Upload
from tiebreak_client.progress import bytes_bar
from tiebreak_client.transport import Transport

_BREAKS: Final = 5
_TAKEN_FROM_FOLDERS: Final = (
    ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".3gp", ".avi", ".gif", ".png", ".jpg", ".jpeg",
    ".webp", ".csv", ".jsonl", ".parquet", ".txt", ".json", ".md",
)  # fmt: skip


class Uploads:
    """What lies below MEDIA_ROOT/incoming/uploads on the server, for imports and runs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def unfinished(self) -> list[Upload]:
        return self._transport.send(calls.LIST_UPLOADS).uploads

    def drop(self, upload_id: str) -> None:
        self._transport.send(calls.DROP_UPLOAD, upload_id=upload_id)

    def file(self, path: Path | str, *, name: str = "", progress: bool | None = None) -> str:
        """Send a file, unless it is there; give the path that imports and runs take."""
        local = _file(path)
        with bytes_bar(local.name, local.stat().st_size, shown=progress) as bar:
            return self._send(local, name or local.name, bar)

    def folder(self, path: Path | str, *, name: str = "", progress: bool | None = None) -> str:
        """Send the clips, images and tables of a folder; give the folder's path on the server."""
        root = Path(path)
        found = sorted(_inside(root))
        if not found:
            raise TiebreakError(f"{root} holds no clip, image or table that could be sent.")
        top = name or root.resolve().name
        total = sum(each.stat().st_size for each in found)
        with bytes_bar(top, total, shown=progress) as bar:
            for each in found:
                sent = self._send(each, f"{top}/{each.relative_to(root).as_posix()}", bar)
        depth = len(each.relative_to(root).parts)
        return "/".join(sent.split("/")[:-depth])

    def _send(self, local: Path, name: str, bar: "tqdm[Any]") -> str:
        size, sha256 = local.stat().st_size, sha256_of(local)
        said = {"name": name, "bytes": size, "sha256": sha256}
        before, breaks = -1, 0
        while True:
            upload = self._transport.send(calls.BEGIN_UPLOAD, body=said)
            if before < 0:
                bar.update(upload.received)
            breaks = 0 if upload.received > before else breaks + 1
            before = upload.received
            try:
                return self._parts(local, upload, bar)
            except (NoAnswer, Conflict, NotFound):
                # The part may have come, or another one is still being written: begin asks.
                if breaks >= _BREAKS:
                    raise
                time.sleep(min(0.2 * 2**breaks, 10))

    def _parts(self, local: Path, upload: Upload, bar: "tqdm[Any]") -> str:
        with local.open("rb") as file:
            file.seek(upload.received)
            while not upload.done:
                part = file.read(upload.part_bytes)
                if not part:
                    raise DamagedFile(f"{local} has become shorter while it was sent.")
                upload = self._transport.send(
                    calls.SEND_PART, body=part, upload_id=upload.id, offset=upload.received
                )
                bar.update(len(part))
        return upload.path


def _file(path: Path | str) -> Path:
    local = Path(path)
    if not local.is_file():
        raise TiebreakError(f"There is no file {local}.")
    return local


def _inside(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise TiebreakError(f"There is no folder {root}.")
    for each in root.rglob("*"):
        hidden = any(part.startswith(".") for part in each.relative_to(root).parts)
        if each.is_file() and not hidden and each.suffix.lower() in _TAKEN_FROM_FOLDERS:
            yield each
