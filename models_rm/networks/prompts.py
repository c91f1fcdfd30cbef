"""What a backbone is told about a clip: the rating text with one reward token per dimension.

Dimensions that do not see the prompt stand before it, each closed by its reward token; then comes
the prompt; then the others. With causal attention the first kind cannot depend on the prompt
(VideoAlign, prompt_template.py, has the same order).

A reward token stands where a colon would: behind "Visual quality" a backbone would go on with what
it thinks of the clip, and that is the state that we want to read.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from formats.dimensions import Dimension, DimensionSet
from formats.errors import FormatError
from formats.supervised import BadConfigError
from models_rm.config import ONE_TOKEN, TEMPLATES

VERSION: Final = 1

_OPENING: Final = "You see one video clip. Rate it on each point below, from 0 to 10."
_OPENING_WITH_IMAGE: Final = (
    "You see an image, and then a video clip that was to start from it. "
    "Rate the clip on each point below, from 0 to 10."
)
_PROMPT_INTRO: Final = "The clip was made for this text prompt:"
ALL: Final = ""  # the key of a token at which the rewards of all dimensions are read


@dataclass(frozen=True, slots=True)
class RewardToken:
    """Stands for the position at which the reward of one dimension, or of `ALL`, is read."""

    key: str

    @property
    def text(self) -> str:
        return f"<|{self.key}_reward|>"


@dataclass(frozen=True, slots=True)
class PromptSlot:
    """Stands for the text prompt of the clip."""


Part = str | RewardToken | PromptSlot


@dataclass(frozen=True, slots=True)
class RatingTemplate:
    """The text around a clip, as parts: fixed text, reward tokens, and at most one prompt slot."""

    name: str
    parts: tuple[Part, ...]

    @classmethod
    def of(
        cls, dimensions: DimensionSet, name: str, *, start_image: bool = False
    ) -> "RatingTemplate":
        """`guideline` explains each dimension by its guideline, `brief` only names it.

        `guideline_one_token` and `brief_one_token` end in one token for all dimensions: the text of
        a VideoReward without separate tokens (arXiv 2501.13918, table 6), to compare with. All of
        its dimensions see the prompt. `start_image`: the start image stands before the clip.

        BadConfigError for another name: such a text comes with the model that was trained with it.
        """
        if name not in TEMPLATES:
            raise BadConfigError(
                f"there is no rating text {name!r} to train with; expected {' or '.join(TEMPLATES)}"
            )
        brief = name.startswith("brief")
        describe = _brief if brief else _guideline
        blind = [each for each in dimensions.dimensions if not each.sees_prompt]
        seeing = [each for each in dimensions.dimensions if each.sees_prompt]
        opening = _OPENING_WITH_IMAGE if start_image else _OPENING
        parts: list[Part] = [] if brief else [opening]
        for dimension in blind:
            parts += [describe(dimension), RewardToken(dimension.key)]
        if seeing:
            intro = "\n" if brief else f"\n{_PROMPT_INTRO} "
            parts += [intro, PromptSlot()]
        for dimension in seeing:
            parts += [describe(dimension), RewardToken(dimension.key)]
        if name in ONE_TOKEN:
            parts = [part for part in parts if not isinstance(part, RewardToken)]
            parts.append(RewardToken(ALL))
        return cls(name, tuple(parts))

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys in the order of their tokens, which need not be that of the set; or only `ALL`."""
        return tuple(part.key for part in self.parts if isinstance(part, RewardToken))

    def text(self, prompt: str) -> str:
        """The whole text for people and hashes; trainers tokenise it part by part."""
        return "".join(_shown(part, prompt) for part in self.parts)

    def sha256(self) -> str:
        shape = json.dumps([VERSION, self.name, self.text("{prompt}")], ensure_ascii=False)
        return hashlib.sha256(shape.encode()).hexdigest()

    def pieces(
        self, prompt: str, control_words: Collection[str] = ()
    ) -> Iterator[str | RewardToken]:
        """The parts with the prompt put in, made harmless."""
        for part in self.parts:
            if isinstance(part, PromptSlot):
                yield escaped(prompt, control_words)
            else:
                yield part

    def sees_prompt(self, key: str) -> bool:
        """Whether the token of a dimension stands behind the prompt."""
        kinds = [part.key if isinstance(part, RewardToken) else type(part) for part in self.parts]
        return PromptSlot in kinds[: kinds.index(key if key in self.keys else ALL)]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "parts": [_part_to_json(part) for part in self.parts]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RatingTemplate":
        """FormatError where it is no rating text: each part is a text, a reward or the prompt."""
        try:
            parts = tuple(_part_from_json(part) for part in value["parts"])
            name = str(value["name"])
        except (KeyError, TypeError) as error:
            raise FormatError(f"not a rating text: {error}") from error
        if sum(isinstance(part, PromptSlot) for part in parts) > 1:
            raise FormatError("a rating text has at most one place for the prompt")
        keys = [part.key for part in parts if isinstance(part, RewardToken)]
        if not keys or len(set(keys)) != len(keys):
            raise FormatError("a rating text has one reward token for each of its dimensions")
        return cls(name, parts)


def escaped(prompt: str, control_words: Collection[str] = ()) -> str:
    """A user's text in which nothing reads as a control token of the tokenizer or of ours.

    `<|video_pad|>` in a prompt would be one more video, `<|VQ_reward|>` one more reward.
    `control_words` are what the tokenizer takes for one token each besides (`<think>`).
    """
    text = prompt.replace("<|", "< |").replace("|>", "| >")
    for word in sorted(control_words, key=len, reverse=True):
        if word in text and word.strip():
            text = text.replace(word, f"{word[0]} {word[1:]}")
    return text


def _part_to_json(part: Part) -> dict[str, Any]:
    if isinstance(part, RewardToken):
        return {"reward": part.key}
    return {"prompt": True} if isinstance(part, PromptSlot) else {"text": part}


def _part_from_json(value: Mapping[str, Any]) -> Part:
    match value:
        case {"reward": str(key)} if len(value) == 1:
            return RewardToken(key)
        case {"prompt": True} if len(value) == 1:
            return PromptSlot()
        case {"text": str(text)} if len(value) == 1:
            return text
    raise TypeError(f"unknown part {value!r}")


def _shown(part: Part, prompt: str) -> str:
    if isinstance(part, RewardToken):
        return part.text
    return escaped(prompt) if isinstance(part, PromptSlot) else part


def _guideline(dimension: Dimension) -> str:
    lines = "".join(f"\n- {line}" for line in dimension.guideline)
    return f"\n{dimension.title}:{lines}\nRating of {dimension.title.lower()}"


def _brief(dimension: Dimension) -> str:
    return f"\n{dimension.title}"
