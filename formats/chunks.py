"""Which of several workers takes which clip: decided by a hash, so that nobody has to ask."""

import hashlib
import json


def chunk_of(video_id: str, prompt: str, chunks: int) -> int:
    """The chunk (0 .. chunks-1) of a (video, prompt), the same on every machine."""
    text = json.dumps([video_id, prompt], ensure_ascii=False).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8]) % chunks
