"""Text that was encoded twice: UTF-8 bytes taken for Windows or Latin letters, and saved again."""

import re
from typing import Final

# Windows-1252 leaves five bytes undefined; what saved the text took them for C1 controls.
_BYTE_OF: Final = {
    **{chr(byte): byte for byte in range(0x80, 0x100)},
    **{
        bytes([byte]).decode("cp1252"): byte
        for byte in range(0x80, 0xA0)
        if byte not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
    },
}
_SUSPECT: Final = re.compile(f"[{re.escape(''.join(_BYTE_OF))}]{{2,}}")
_ROUNDS: Final = 3


def repaired(text: str) -> str:
    """The text as it was before it was encoded twice; the same text if it never was.

    A run of such letters that happens to be valid UTF-8 is hardly ever real writing: "Ã©" is, "é—"
    is not.
    """
    for _ in range(_ROUNDS):
        better = _SUSPECT.sub(_decoded, text)
        if better == text:
            break
        text = better
    return text


def _decoded(match: re.Match[str]) -> str:
    run = match[0]
    try:
        return bytes(_BYTE_OF[letter] for letter in run).decode()
    except UnicodeDecodeError:
        return run
