"""How well does the measured truth follow the known one?

    python -m bench.truth [--clips 300] [--json FILE]

Spearman's rho per dimension of each world on unseen recipes that went through the generator's
autoencoder, and what the autoencoder costs in decibels; for the first world with several numbers of
kept coefficients.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from demo.anime.recipes import AnimeProfile
from demo.dct_vae import DctVideoVAE, round_trip
from demo.recipes import Profile
from demo.worlds import ANIME, FIRST, WORLDS, Asked, WorldKind

SEED = 2024  # constants of the truth saw seed 7
KEPT = {FIRST: (24, 32, 48), ANIME: (32,)}
UNIFORM: dict[str, Callable[[str], Any]] = {FIRST: Profile, ANIME: AnimeProfile}


def unseen(count: int, world: str) -> list[tuple[Asked, Any]]:
    """Prompts and recipes; half of the demo's generators, half of uniform quality."""
    rng, kind = np.random.default_rng(SEED), WORLDS[world]
    uniform = [UNIFORM[world]("uniform")] * len(kind.generators)
    profiles = [*kind.generators.values(), *uniform]
    found = []
    for index in range(count):
        asked = kind.draw(1, rng)[0]
        found.append((asked, kind.recipe(rng, asked, profiles[index % len(profiles)])))
    return found


def figures(recipes: list[tuple[Asked, Any]], kind: WorldKind, kept: int) -> dict[str, Any]:
    drawn = np.stack([kind.render(recipe) for _, recipe in recipes])
    clips = round_trip(drawn, DctVideoVAE(z_dim=kept))
    found = [_measured(kind, clip, asked) for clip, (asked, _) in zip(clips, recipes, strict=True)]
    known = [recipe.quality() for _, recipe in recipes]
    error = np.mean((clips.astype(float) - drawn) ** 2)
    rho = {
        key: float(spearmanr([each[key] for each in found], [each[key] for each in known])[0])
        for key in kind.dimensions
    }
    return {"kept": kept, "decibels": float(10 * np.log10(255**2 / error)), "spearman": rho}


def _measured(kind: WorldKind, clip: Any, asked: Asked) -> dict[str, float]:
    start = None if kind.image is None else kind.image(asked)
    return kind.measure(clip, asked.text, start)


def _show(rows: list[dict[str, Any]], world: str) -> None:
    dimensions = WORLDS[world].dimensions
    print("coefficients  decibels  " + "  ".join(f"{key:>5}" for key in dimensions))
    for row in rows:
        rho = "  ".join(f"{row['spearman'][key]:{max(5, len(key))}.3f}" for key in dimensions)
        print(f"{row['kept']:12}  {row['decibels']:8.1f}  {rho}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for world, kind in WORLDS.items():
        recipes = unseen(given.clips, world)
        found[world] = [figures(recipes, kind, kept) for kept in KEPT[world]]
        _show(found[world], world)
    if given.json:
        values = {"clips": given.clips, "rows": found[FIRST], "anime": found[ANIME]}
        given.json.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
