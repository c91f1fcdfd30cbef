"""What is judged. Dimensions are data: nothing in code, schema or losses counts to three."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from formats.errors import FormatError

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing that is judged.

    `key` names it in files and columns, `sees_prompt` says whether the reward token of this
    dimension stands behind the prompt (and so may depend on it) or before it.
    """

    key: str
    title: str
    question: str
    sees_prompt: bool
    guideline: tuple[str, ...] = ()
    group: str = ""

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise FormatError(
                f"dimension key {self.key!r} must be a letter and up to 31 letters, digits or _"
            )


@dataclass(frozen=True, slots=True)
class DimensionSet:
    """An ordered set of dimensions with a name."""

    name: str
    title: str
    dimensions: tuple[Dimension, ...]

    def __post_init__(self) -> None:
        keys = self.keys
        if not keys:
            raise FormatError(f"dimension set {self.name!r} has no dimension")
        if len(set(keys)) != len(keys):
            raise FormatError(
                f"dimension set {self.name!r} names a dimension twice: {', '.join(keys)}"
            )

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(dimension.key for dimension in self.dimensions)

    def only(self, keys: Iterable[str]) -> "DimensionSet":
        """The set with some of its dimensions, in its own order; an unknown key is an error."""
        wanted = list(keys)
        for key in wanted:
            if key not in self.keys:
                raise FormatError(
                    f"dimension {key!r} is not in the set {self.name!r} ({', '.join(self.keys)})"
                )
        chosen = tuple(each for each in self.dimensions if each.key in wanted)
        return DimensionSet(self.name, self.title, chosen)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DimensionSet":
        try:
            rows: Iterable[Mapping[str, Any]] = value["dimensions"]
            dimensions = tuple(
                Dimension(**{**row, "guideline": tuple(row.get("guideline", ()))}) for row in rows
            )
            return cls(name=value["name"], title=value["title"], dimensions=dimensions)
        except (KeyError, TypeError) as error:
            raise FormatError(f"not a dimension set: {error}") from error


# The guideline keys of VideoAlign (arXiv 2501.13918, Table 8), in our words.
VIDEOALIGN = DimensionSet(
    "videoalign",
    "VideoAlign: visual quality, motion quality, text alignment",
    (
        Dimension(
            "VQ",
            "Visual quality",
            "Which clip looks better, whatever the prompt says?",
            sees_prompt=False,
            guideline=(
                "Reasonable: objects and bodies are whole and plausible.",
                "Clear: sharp where it should be, no blur, no noise, no blocks.",
                "Rich in detail: textures and light are worked out.",
                "Aesthetic: composition and colour please the eye.",
                "Safe: nothing disturbing; an unsafe clip is the worst.",
            ),
        ),
        Dimension(
            "MQ",
            "Motion quality",
            "Which clip moves better, whatever the prompt says?",
            sees_prompt=False,
            guideline=(
                "Stable: nothing flickers, jumps or melts.",
                "Natural: movement follows physics.",
                "Smooth: no freezing, no jerks.",
                "Well fused: moving edges fit the background.",
                "Clear: the movement can be followed.",
                "Enough of it: a still clip is weak.",
            ),
        ),
        Dimension(
            "TA",
            "Text alignment",
            "Which clip shows more of what the prompt asks for?",
            sees_prompt=True,
            guideline=(
                "Subject: the right things, in the right number.",
                "Motion: they do what the prompt says.",
                "Environment: the place is right.",
                "Style: the look is the one asked for.",
                "Camera: it moves, or stays, as asked.",
            ),
        ),
    ),
)

# AnimeReward (arXiv 2504.10044): three dimensions of appearance, three of consistency.
ANIME = DimensionSet(
    "anime",
    "AnimeReward: six dimensions",
    (
        Dimension(
            "smoothness",
            "Visual smoothness",
            "Which clip is smoother, without distortion?",
            sees_prompt=False,
            guideline=("No flicker, no tearing, no melting between frames.",),
            group="appearance",
        ),
        Dimension(
            "motion",
            "Visual motion",
            "Which clip moves more, and more plausibly?",
            sees_prompt=False,
            guideline=("A clear range of movement; a still picture is the worst.",),
            group="appearance",
        ),
        Dimension(
            "appeal",
            "Visual appeal",
            "Which clip is drawn better?",
            sees_prompt=False,
            guideline=("Clean lines, pleasing colours, good composition.",),
            group="appearance",
        ),
        Dimension(
            "text",
            "Text-video consistency",
            "Which clip shows more of what the prompt asks for?",
            sees_prompt=True,
            guideline=("Characters, action, place and camera as the prompt says.",),
            group="consistency",
        ),
        Dimension(
            "image",
            "Image-video consistency",
            "Which clip keeps closer to the reference image?",
            sees_prompt=True,
            guideline=("Same picture, style and colours as the first image.",),
            group="consistency",
        ),
        Dimension(
            "character",
            "Character consistency",
            "In which clip does the character stay the same?",
            sees_prompt=True,
            guideline=("Face, hair and clothes stay those of the character.",),
            group="consistency",
        ),
    ),
)

ANIME_GROUPS = DimensionSet(
    "anime-groups",
    "AnimeReward in two rows: appearance, consistency",
    (
        Dimension(
            "appearance",
            "Appearance",
            "Which clip looks and moves better?",
            sees_prompt=False,
            guideline=("Smoothness, motion and appeal together.",),
            group="appearance",
        ),
        Dimension(
            "consistency",
            "Consistency",
            "Which clip keeps closer to prompt, image and character?",
            sees_prompt=True,
            guideline=("Text, image and character consistency together.",),
            group="consistency",
        ),
    ),
)

BUILT_IN = {each.name: each for each in (VIDEOALIGN, ANIME, ANIME_GROUPS)}
