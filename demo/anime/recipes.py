"""What a clip of the anime world is made of: who, where, what happens, defects, two seeds.

The first frame fixes character and scene; the caption says what they do. Standard library and
numpy. The true quality of a recipe is known exactly on six dimensions, on the scale of
Bradley-Terry-with-ties rewards, as in `demo.recipes`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

import numpy as np

from formats.errors import FormatError

CHARACTERS: Final = ("Aki", "Sora", "Kuro", "Sumi", "Mori", "Hana")
SCENES: Final = ("meadow", "beach", "room", "town")
ACTIONS: Final = ("walks left", "walks right", "jumps", "ducks", "waves", "dances")
EMOTES: Final = ("heart", "star", "drop")  # the symbol that comes up beside the head
CHOICES: Final = {
    "character": CHARACTERS,
    "scene": SCENES,
    "action": ACTIONS,
    "emote": EMOTES,
}
TOLD: Final = ("action", "emote")  # what only the caption says; the rest stands in the first frame

CAPTIONS: Final = math.prod(len(words) for words in CHOICES.values())  # all that there are

# Defects by the dimension that they cost; `text` has wrong facts instead.
KINDS: Final = {
    "smoothness": ("shake", "flicker"),
    "motion": ("little", "stopping"),
    "appeal": ("blur", "stains"),
    "image": ("tint", "moving_scene"),
    "character": ("morph", "fading"),
}
DIMENSIONS: Final = ("smoothness", "motion", "appeal", "text", "image", "character")

# Rewards of a perfect clip; the worst has 0. They set how often people tie and err.
SPAN: Final = {
    "smoothness": 3.7,
    "motion": 3.7,
    "appeal": 3.7,
    "text": 3.75,
    "image": 3.7,
    "character": 3.7,
}
COST: Final = {"action": 2.5, "emote": 1.25}  # of a wrong fact


@dataclass(frozen=True, slots=True)
class AnimeFacts:
    """What a prompt and its first frame ask for, or what a clip shows."""

    character: str
    scene: str
    action: str
    emote: str

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise FormatError(
                    f"{name} {getattr(self, name)!r} is not of the anime world; "
                    f"expected one of {', '.join(known)}"
                )

    def differing(self, other: "AnimeFacts") -> tuple[str, ...]:
        """The names of the facts in which two descriptions differ."""
        return tuple(name for name in CHOICES if getattr(self, name) != getattr(other, name))


@dataclass(frozen=True, slots=True)
class AnimeDefects:
    """Strengths in 0..1; equal strengths of one dimension cost the same."""

    shake: float = 0.0
    flicker: float = 0.0
    little: float = 0.0
    stopping: float = 0.0
    blur: float = 0.0
    stains: float = 0.0
    tint: float = 0.0
    moving_scene: float = 0.0
    morph: float = 0.0
    fading: float = 0.0

    def level(self, dimension: str) -> float:
        """How bad a clip is on one dimension, 0..1: the strengths add up."""
        return min(1.0, sum(getattr(self, kind) for kind in KINDS[dimension]))

    def worst(self, dimension: str) -> tuple[str, float]:
        kind = max(KINDS[dimension], key=lambda each: getattr(self, each))
        return kind, getattr(self, kind)


def text_reward(wrong: tuple[str, ...] | set[str]) -> float:
    """The reward of text-video consistency where these facts of the caption are wrong."""
    return max(0.0, SPAN["text"] - sum(COST[name] for name in TOLD if name in wrong))


@dataclass(frozen=True, slots=True)
class AnimeRecipe:
    """One clip. `start` is the seed of the first frame, `seed` that of the disturbances.

    Character and scene are those of the first frame, so `shown` differs from `asked` in what the
    caption tells alone.
    """

    asked: AnimeFacts
    shown: AnimeFacts
    defects: AnimeDefects = field(default_factory=AnimeDefects)
    start: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        fixed = set(self.asked.differing(self.shown)) - set(TOLD)
        if fixed:
            raise FormatError(
                f"the {min(fixed)} of a clip is fixed by its first frame and cannot differ from"
                f" what is asked: {getattr(self.shown, min(fixed))!r}"
            )

    def quality(self) -> dict[str, float]:
        """The true reward per dimension."""
        found = {key: SPAN[key] * (1 - self.defects.level(key)) for key in KINDS}
        found["text"] = text_reward(self.asked.differing(self.shown))
        return {key: found[key] for key in DIMENSIONS}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "AnimeRecipe":
        return cls(
            AnimeFacts(**row["asked"]),
            AnimeFacts(**row["shown"]),
            AnimeDefects(**row["defects"]),
            row["start"],
            row["seed"],
        )


@dataclass(frozen=True, slots=True)
class AnimeProfile:
    """A generator of the anime world: how bad its clips are on average.

    The five means are levels of defects in 0..1; `wrong`: the chances that nothing, the emote, the
    action, or both are wrong.
    """

    name: str
    smoothness: float = 0.5
    motion: float = 0.5
    appeal: float = 0.5
    image: float = 0.5
    character: float = 0.5
    wrong: tuple[float, float, float, float] = (0.42, 0.25, 0.2, 0.13)


def caption(facts: AnimeFacts, words: tuple[str, ...] = ()) -> str:
    """The prompt that asks for these facts, with words on appearance in front if any are given."""
    article = "an" if facts.emote[0] in "aeiou" else "a"
    text = (
        f"{facts.character} {facts.action} in the {facts.scene} and {article} {facts.emote} appears"
    )
    said = ", ".join(word for word in words if word)
    return f"a {said} clip where {text}" if said else text


_CAPTION = re.compile(
    rf"(?P<character>{'|'.join(CHARACTERS)}) (?P<action>{'|'.join(ACTIONS)})"
    rf" in the (?P<scene>{'|'.join(SCENES)}) and an? (?P<emote>{'|'.join(EMOTES)}) appears"
)


def parse(text: str) -> AnimeFacts:
    """The facts that a prompt of this world asks for; FormatError for any other text."""
    match = _CAPTION.search(text)
    if match is None:
        raise FormatError(
            f"{text!r} is not a prompt of the anime world, such as {caption(EXAMPLE)!r}"
        )
    return AnimeFacts(**match.groupdict())


EXAMPLE: Final = AnimeFacts("Aki", "meadow", "walks left", "heart")


def random_facts(rng: np.random.Generator) -> AnimeFacts:
    return AnimeFacts(**{name: str(rng.choice(known)) for name, known in CHOICES.items()})


def with_wrong_facts(
    facts: AnimeFacts, names: tuple[str, ...], rng: np.random.Generator
) -> AnimeFacts:
    """The same facts, but those of these names changed."""
    others = {
        name: str(rng.choice([word for word in CHOICES[name] if word != getattr(facts, name)]))
        for name in names
    }
    return replace(facts, **others)


def random_defects(rng: np.random.Generator, profile: AnimeProfile) -> AnimeDefects:
    """Defects around the mean levels of a profile: one or two kinds share each level."""
    strengths: dict[str, float] = {}
    for dimension, kinds in KINDS.items():
        mean = getattr(profile, dimension)
        # Beta with a + b = 2 is the uniform distribution at mean 0.5.
        level = float(rng.beta(2 * mean, 2 * (1 - mean)))
        first, second = (str(kind) for kind in rng.choice(kinds, size=2, replace=False))
        share = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.3, 0.7))
        strengths[first] = level * share
        strengths[second] = level * (1 - share)
    return AnimeDefects(**strengths)


_WRONG: Final = ((), ("emote",), ("action",), ("action", "emote"))


def random_recipe(
    rng: np.random.Generator, asked: AnimeFacts, start: int, profile: AnimeProfile
) -> AnimeRecipe:
    """A clip that a generator of this profile makes for a prompt and its first frame."""
    wrong = _WRONG[int(rng.choice(len(_WRONG), p=profile.wrong))]
    return AnimeRecipe(
        asked=asked,
        shown=with_wrong_facts(asked, wrong, rng),
        defects=random_defects(rng, profile),
        start=start,
        seed=int(rng.integers(2**31)),
    )


assert {each.name for each in fields(AnimeDefects)} == {
    k for kinds in KINDS.values() for k in kinds
}
