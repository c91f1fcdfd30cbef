"""What a clip of the procedural world is made of: asked facts, shown facts, defects, a seed.

Standard library and numpy. The true quality of a recipe is known exactly, on the scale of
Bradley-Terry-with-ties rewards, so everything downstream can be held to it.
"""

import math
import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

import numpy as np

from formats.errors import FormatError

COLOURS: Final = ("red", "green", "blue", "yellow")
SHAPES: Final = ("circle", "bar", "triangle")
COUNTS: Final = ("one", "two")
DIRECTIONS: Final = ("left", "right", "up", "down")
BACKGROUNDS: Final = ("dark", "grey", "sky")
CHOICES: Final = {
    "colour": COLOURS,
    "shape": SHAPES,
    "count": COUNTS,
    "background": BACKGROUNDS,
    "direction": DIRECTIONS,
}

CAPTIONS: Final = math.prod(len(words) for words in CHOICES.values())  # all that there are

VISUAL: Final = ("blur", "noise", "washed", "blocks")
MOTION: Final = ("jitter", "flicker", "freezing", "ghosting")
DIMENSIONS: Final = ("VQ", "MQ", "TA")

# Rewards of a perfect clip; the worst has 0. They set how often people tie and err: see
# tests/demo/test_difficulty.py, which pins both.
SPAN: Final = {"VQ": 3.6, "MQ": 3.9, "TA": 4.8}
TA_STEP: Final = 1.6  # what one wrong fact costs


@dataclass(frozen=True, slots=True)
class Facts:
    """What a prompt asks for, or what a clip shows."""

    colour: str
    shape: str
    count: str
    background: str
    direction: str

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise FormatError(
                    f"{name} {getattr(self, name)!r} is not of this world; "
                    f"expected one of {', '.join(known)}"
                )

    def differing(self, other: "Facts") -> tuple[str, ...]:
        """The names of the facts in which two descriptions differ."""
        return tuple(name for name in CHOICES if getattr(self, name) != getattr(other, name))


@dataclass(frozen=True, slots=True)
class Defects:
    """Strengths in 0..1; equal strengths of one dimension cost the same."""

    blur: float = 0.0
    noise: float = 0.0
    washed: float = 0.0
    blocks: float = 0.0
    jitter: float = 0.0
    flicker: float = 0.0
    freezing: float = 0.0
    ghosting: float = 0.0

    def level(self, kinds: tuple[str, ...]) -> float:
        """How bad a clip is in one respect, 0..1: the strengths add up."""
        return min(1.0, sum(getattr(self, kind) for kind in kinds))

    def worst(self, kinds: tuple[str, ...]) -> tuple[str, float]:
        kind = max(kinds, key=lambda each: getattr(self, each))
        return kind, getattr(self, kind)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One clip. `seed` decides place, size and the shape of the disturbances."""

    asked: Facts
    shown: Facts
    defects: Defects = field(default_factory=Defects)
    seed: int = 0

    def quality(self) -> dict[str, float]:
        """The true reward per dimension."""
        wrong = len(self.asked.differing(self.shown))
        return {
            "VQ": SPAN["VQ"] * (1 - self.defects.level(VISUAL)),
            "MQ": SPAN["MQ"] * (1 - self.defects.level(MOTION)),
            "TA": max(0.0, SPAN["TA"] - TA_STEP * wrong),
        }

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Recipe":
        return cls(
            Facts(**row["asked"]), Facts(**row["shown"]), Defects(**row["defects"]), row["seed"]
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """A generator of the demo: how bad its clips are on average, and how often a fact is wrong.

    `visual`, `motion`: mean levels in 0..1; `wrong`: the chances of 0, 1 and 2 wrong facts.
    """

    name: str
    visual: float = 0.5
    motion: float = 0.5
    wrong: tuple[float, float, float] = (0.42, 0.35, 0.23)


def caption(facts: Facts, look: str = "", motion: str = "") -> str:
    """The prompt that asks for these facts, with words on appearance in front if they are given."""
    things = f"a {facts.colour} {facts.shape}"
    if facts.count != "one":
        things = f"{facts.count} {facts.colour} {facts.shape}s"
    text = f"{things} moving {facts.direction} on a {facts.background} background"
    words = ", ".join(word for word in (look, motion) if word)
    return f"a {words} clip of {text}" if words else text


_CAPTION = re.compile(
    rf"(?P<count>a|{'|'.join(COUNTS[1:])}) (?P<colour>{'|'.join(COLOURS)})"
    rf" (?P<shape>{'|'.join(SHAPES)})s? moving (?P<direction>{'|'.join(DIRECTIONS)})"
    rf" on a (?P<background>{'|'.join(BACKGROUNDS)}) background"
)


def parse(text: str) -> Facts:
    """The facts that a prompt of this world asks for; FormatError for any other text."""
    match = _CAPTION.search(text)
    if match is None:
        raise FormatError(
            f"{text!r} is not a prompt of the demo world, such as {caption(EXAMPLE)!r}"
        )
    found = match.groupdict()
    return Facts(**{**found, "count": "one" if found["count"] == "a" else found["count"]})


EXAMPLE: Final = Facts("red", "circle", "two", "dark", "left")


def random_facts(rng: np.random.Generator) -> Facts:
    return Facts(**{name: str(rng.choice(known)) for name, known in CHOICES.items()})


def with_wrong_facts(facts: Facts, wrong: int, rng: np.random.Generator) -> Facts:
    """The same facts, but `wrong` of them changed."""
    changed = rng.choice(list(CHOICES), size=wrong, replace=False)
    others = {
        str(name): str(rng.choice([word for word in CHOICES[name] if word != getattr(facts, name)]))
        for name in changed
    }
    return replace(facts, **others)


def random_defects(rng: np.random.Generator, visual: float = 0.5, motion: float = 0.5) -> Defects:
    """Defects around mean levels: one or two kinds per dimension share the level."""
    strengths: dict[str, float] = {}
    for kinds, mean in ((VISUAL, visual), (MOTION, motion)):
        # Beta with a + b = 2 is the uniform distribution at mean 0.5.
        level = float(rng.beta(2 * mean, 2 * (1 - mean)))
        first, second = (str(kind) for kind in rng.choice(kinds, size=2, replace=False))
        share = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.3, 0.7))
        strengths[first] = level * share
        strengths[second] = level * (1 - share)
    return Defects(**strengths)


def random_recipe(rng: np.random.Generator, asked: Facts, profile: Profile) -> Recipe:
    """A clip that a generator of this profile makes for a prompt."""
    wrong = int(rng.choice(3, p=profile.wrong))
    return Recipe(
        asked=asked,
        shown=with_wrong_facts(asked, wrong, rng),
        defects=random_defects(rng, profile.visual, profile.motion),
        seed=int(rng.integers(2**31)),
    )


_DEFECT_WORDS: Final = {
    "blur": "blurry",
    "noise": "blotchy",
    "washed": "faded",
    "blocks": "blocky",
    "jitter": "shaky",
    "flicker": "flickering",
    "freezing": "stalling",
    "ghosting": "ghosting",
}


def appearance_words(recipe: Recipe, rng: np.random.Generator) -> tuple[str, str]:
    """What a person might write about look and motion: coarse, and now and then a step off.

    For example ("very blurry", "smooth"). A real VLM has read such words in millions of captions;
    the tiny one gets them in its pretraining.
    """

    def words(kinds: tuple[str, ...], fine: str) -> str:
        kind, _ = recipe.defects.worst(kinds)
        level = recipe.defects.level(kinds) + rng.normal(0, 0.07)
        grade = int(np.searchsorted((0.15, 0.4, 0.7), level))
        return (fine, *(f"{how}{_DEFECT_WORDS[kind]}" for how in ("slightly ", "", "very ")))[grade]

    return words(VISUAL, "clean"), words(MOTION, "smooth")


def defect_grades(recipe: Recipe, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[Any]]:
    """How strong each defect is, VISUAL then MOTION, float32: none, slight, clear, very (0 to 1).

    As coarse as the words, and as often a step off.
    """
    levels = np.array([getattr(recipe.defects, kind) for kind in (*VISUAL, *MOTION)])
    seen = np.where(levels > 0, levels + rng.normal(0, 0.07, len(levels)), 0)
    return np.searchsorted((0.1, 0.4, 0.7), seen).astype(np.float32) / 3


assert {each.name for each in fields(Defects)} == {*VISUAL, *MOTION}
