"""`python -m demo render RUN_DIR`: the clips of a campaign of the procedural world, as files.

It leaves `outputs/clips/*.mp4`, `outputs/recipes.jsonl` (what is known about each clip, by the
sha256 of its bytes and of its pixels) and `outputs/pairs.jsonl` (which clips are compared). Where
the prompts of a world have start images, they lie in `outputs/images/*.png`, and pairs name them.
Clips come prompt by prompt, so the first pairs are whole long before the last.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from PIL import Image

from demo.clip_files import read_clip, sha256_of_pixels, write_clip
from demo.world import FPS, Frames
from demo.worlds import FIRST, WORLDS, Asked, WorldKind
from formats.files import sha256_of, write_jsonl
from formats.outcome import ExitCode, Outcome
from formats.supervised import BadConfigError, Supervised

RECIPES: Final = "recipes/1"
PAIRS: Final = "world-pairs/1"
LOG_EVERY: Final = 24  # clips


@dataclass(frozen=True, slots=True)
class RenderConfig:
    """`prompts`: how many, drawn by the seed, or the texts themselves. `generators`: by default all
    of the world.

    `pairs_per_prompt` = 0 compares each clip with the next one, in a ring. `through_vae` sends the
    pixels through the generator's autoencoder, so that people and the reward model meet in training
    the look that generated clips will have.
    """

    world: str = FIRST
    seed: int = 0
    prompts: int | tuple[str, ...] = 24
    clips_per_prompt: int = 4
    pairs_per_prompt: int = 0
    generators: tuple[str, ...] | None = None
    through_vae: bool = False

    def __post_init__(self) -> None:
        if self.world not in WORLDS:
            raise BadConfigError(f"world must be one of {', '.join(WORLDS)}, got {self.world!r}")
        captions = self.kind.captions
        if isinstance(self.prompts, int) and not 0 < self.prompts <= captions:
            raise BadConfigError(
                f"prompts must lie in 1..{captions}, which is all there are, got {self.prompts}"
            )
        if self.clips_per_prompt < 2:
            raise BadConfigError(
                f"clips_per_prompt must be at least 2 to compare, got {self.clips_per_prompt}"
            )
        most = self.clips_per_prompt * (self.clips_per_prompt - 1) // 2
        if not 0 <= self.pairs_per_prompt <= most:
            raise BadConfigError(
                f"{self.clips_per_prompt} clips make at most {most} pairs, "
                f"got pairs_per_prompt = {self.pairs_per_prompt}"
            )
        for name in self.makers:
            if name not in self.kind.generators:
                known = ", ".join(self.kind.generators)
                raise BadConfigError(f"unknown generator {name!r}; known generators: {known}")
        if not self.makers:
            raise BadConfigError("generators must name at least one")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        known = {each.name for each in fields(cls)}
        for key in values:
            if key not in known:
                raise BadConfigError(f"unknown key {key!r}; known keys: {', '.join(sorted(known))}")
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **lists})

    @property
    def kind(self) -> WorldKind:
        return WORLDS[self.world]

    @property
    def makers(self) -> tuple[str, ...]:
        return tuple(self.kind.generators) if self.generators is None else self.generators

    def asked(self) -> list[Asked]:
        if isinstance(self.prompts, int):
            return self.kind.draw(self.prompts, np.random.default_rng([self.seed, 1]))
        return self.kind.of_texts(self.prompts, np.random.default_rng([self.seed, 3]))


@dataclass(frozen=True, slots=True)
class Planned:
    file: str  # relative to the outputs folder
    prompt: str
    generator: str
    recipe: Any  # of the world
    image: str = ""  # the file of the start image, where the world has such images


def planned(config: RenderConfig) -> Iterator[list[Planned]]:
    """The clips of each prompt; the generators take turns in an order that each prompt draws."""
    kind = config.kind
    for number, asked in enumerate(config.asked()):
        rng = np.random.default_rng([config.seed, 2, number])
        order = rng.permutation(config.makers)
        image = "" if kind.image is None else f"images/{number:04}.png"
        clips = []
        for index in range(config.clips_per_prompt):
            profile = kind.generators[str(order[index % len(order)])]
            recipe = kind.recipe(rng, asked, profile)
            name = f"clips/{number:04}-{index:02}-{profile.name}.mp4"
            clips.append(Planned(name, asked.text, profile.name, recipe, image))
        yield clips


def compared(clips: list[Planned], wanted: int) -> list[tuple[Planned, Planned]]:
    """Each clip with the next one, in a ring; then with the next but one, until it is enough."""
    count = len(clips)

    def steps_apart(pair: tuple[int, int]) -> tuple[int, tuple[int, int]]:
        apart = pair[1] - pair[0]
        return min(apart, count - apart), pair

    pairs = sorted(itertools.combinations(range(count), 2), key=steps_apart)
    return [(clips[a], clips[b]) for a, b in pairs[: wanted or count]]


def render_world(run: Supervised) -> Outcome:
    """The body of the command. Rendering again writes the same bytes."""
    config = RenderConfig.from_json(run.dir.config())
    out = run.dir.outputs
    (out / "clips").mkdir(parents=True, exist_ok=True)
    _draw_images(config, out)
    total = len(config.asked()) * config.clips_per_prompt
    recipes: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    for clips in planned(config):
        for each in clips:
            run.check()
            recipes.append(_written(each, out, config))
            if len(recipes) % LOG_EVERY == 0 or len(recipes) == total:
                run.dir.log_metrics(len(recipes), total, stage="rendering")
        pairs += [_pair(a, b) for a, b in compared(clips, config.pairs_per_prompt)]
    write_jsonl(out / "recipes.jsonl", RECIPES, recipes)
    write_jsonl(out / "pairs.jsonl", PAIRS, pairs)
    return Outcome(ExitCode.DONE, summary={"clips": len(recipes), "pairs": len(pairs)})


def _draw_images(config: RenderConfig, out: Path) -> None:
    draw = config.kind.image
    if draw is None:
        return
    (out / "images").mkdir(exist_ok=True)
    for number, asked in enumerate(config.asked()):
        Image.fromarray(draw(asked)).save(out / "images" / f"{number:04}.png")


def _written(planned_clip: Planned, out: Path, config: RenderConfig) -> dict[str, Any]:
    path = out / planned_clip.file
    drawn = config.kind.render(planned_clip.recipe)
    write_clip(path, _seen(drawn, through_vae=config.through_vae), FPS)
    known = {
        "sha256": sha256_of(path),
        # The site shows a re-mux of the file: other bytes, the same pixels.
        "pixels_sha256": sha256_of_pixels(read_clip(path)),
        "file": planned_clip.file,
        "prompt": planned_clip.prompt,
        "generator": planned_clip.generator,
        "quality": planned_clip.recipe.quality(),
        "recipe": planned_clip.recipe.to_json(),
    }
    return {**known, "image": planned_clip.image} if planned_clip.image else known


def _seen(frames: Frames, *, through_vae: bool) -> Frames:
    if not through_vae:
        return frames
    from demo.dct_vae import round_trip  # torch is loaded only where it is asked for

    return round_trip(frames)


def _pair(a: Planned, b: Planned) -> dict[str, Any]:
    pair = {
        "prompt": a.prompt,
        "a": a.file,
        "b": b.file,
        "generator_a": a.generator,
        "generator_b": b.generator,
    }
    return {**pair, "image": a.image} if a.image else pair
