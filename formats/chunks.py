"""Which of several workers takes which clip: decided by a hash, so that nobody has to ask.

And what all who work in chunks read: the generation set, and what each chunk left.
"""

import hashlib
import json
from pathlib import Path
from typing import Final

from formats.checkpoints import verify_folder
from formats.errors import FormatError
from formats.files import read_json
from formats.records import GenerationRecord
from formats.run_dir import INPUTS, RunDir

MOST_CHUNKS: Final = 256
Key = tuple[str, str]  # (video id, prompt)


def chunk_of(video_id: str, prompt: str, chunks: int) -> int:
    """The chunk (0 .. chunks-1) of a (video, prompt), the same on every machine."""
    text = json.dumps([video_id, prompt], ensure_ascii=False).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8]) % chunks


def chunk_fault(chunks: int, chunk: int | None) -> str:
    """Why a config cannot ask for this chunk of so many; empty where it can."""
    if chunks < 1:
        return f"chunks must be at least 1, got {chunks}"
    if chunks > MOST_CHUNKS:
        return f"chunks must be at most {MOST_CHUNKS}, got {chunks}"
    if chunk is not None and not 0 <= chunk < chunks:
        return f"chunk must be below chunks, got chunk {chunk} of {chunks}; they are counted from 0"
    return ""


def generations_of(run: RunDir) -> tuple[Path, dict[Key, GenerationRecord]]:
    """The folder that clips are relative to, and each (clip, prompt) once, in the set's order."""
    path = run.input("generations")
    if path.is_dir():
        verify_folder(path)
        path = path / "generations.jsonl"
    unique: dict[Key, GenerationRecord] = {}
    for line, record in enumerate(GenerationRecord.read(path), start=2):
        known = unique.setdefault((record.video.id, record.prompt), record)
        if known.video.sha256 != record.video.sha256:
            raise FormatError(f"two clips are named {record.video.id!r}", path=path, line=line)
    return path.parent, unique


def chunk_inputs(run: RunDir, what: str, count: int) -> list[Path]:
    """The inputs `what:0` to `what:count-1` in order; FormatError unless all and no other."""
    roles = [role for role in read_json(run.inputs_file, INPUTS)["inputs"] if f"{what}:" in role]
    wanted = [f"{what}:{number}" for number in range(count)]
    if sorted(roles) != sorted(wanted):
        raise FormatError(
            f"{count} chunks leave the inputs {wanted[0]} to {wanted[-1]}; "
            f"there are: {', '.join(sorted(roles)) or 'none'}",
            path=run.inputs_file,
        )
    return [run.input(role) for role in wanted]
