"""Which of several workers takes which clip: decided by a hash, so that nobody has to ask."""

import hashlib
import json
from typing import Final

MOST_CHUNKS: Final = 256


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
