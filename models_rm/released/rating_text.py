"""The rating text of a release, read from a file that the user has.

The text is the authors' and is not part of this project: it comes from `prompt_template.py` of
their code, which is parsed and never run, or from a text file. It is what
`str.format(text_prompt=…)` makes of it, with reward tokens as `<|VQ_reward|>`.
"""

import ast
import re
import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from models_rm.errors import CheckpointMismatchError
from models_rm.networks.prompts import Part, PromptSlot, RatingTemplate, RewardToken

NAME: Final = "released"
_SLOT: Final = "text_prompt"
_TOKEN = re.compile(r"<\|([A-Za-z][A-Za-z0-9_]*)_reward\|>")


def read_rating_text(path: Path, keys: Sequence[str]) -> RatingTemplate:
    """The text of the file that asks for exactly these dimensions."""
    try:
        content = path.read_text(encoding="utf-8")
        texts = list(_constants(content)) if path.suffix == ".py" else [content]
    except (OSError, UnicodeDecodeError, SyntaxError) as error:
        raise CheckpointMismatchError(f"cannot be read: {error}", path=path) from error
    fitting = [text for text in texts if sorted(_TOKEN.findall(text)) == sorted(keys)]
    if len(fitting) != 1:
        tokens = " ".join(RewardToken(key).text for key in keys)
        raise CheckpointMismatchError(
            f"expected one text with each of {tokens} once, found {len(fitting)}", path=path
        )
    return RatingTemplate(NAME, tuple(_parts(fitting[0], path)))


def _constants(source: str) -> Iterator[str]:
    """Texts that a module gives a name to. The module is read, not run."""
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(value=ast.Constant(value=str(text))):
                yield text


def _parts(text: str, path: Path) -> Iterator[Part]:
    slots = 0
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as error:
        raise CheckpointMismatchError(f"not a text to be filled in: {error}", path=path) from error
    for literal, field, form, conversion in pieces:
        yield from _tokens(literal)
        if field is None:
            continue
        if field != _SLOT or form or conversion:
            raise CheckpointMismatchError(
                f"the text has a place for {field!r}; expected {_SLOT!r} alone", path=path
            )
        slots += 1
        yield PromptSlot()
    if slots > 1:
        raise CheckpointMismatchError("the text has more than one place for the prompt", path=path)


def _tokens(literal: str) -> Iterator[Part]:
    # `split` with one group gives text, key, text, key, …, text.
    for index, piece in enumerate(_TOKEN.split(literal)):
        if index % 2:
            yield RewardToken(piece)
        elif piece:
            yield piece
