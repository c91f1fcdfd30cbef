"""How well does the measured truth follow the known one?

    python -m bench.truth [--clips 300] [--json FILE]

Spearman's rho per dimension on unseen recipes that went through the generator's autoencoder, for
several numbers of kept coefficients, and what the autoencoder costs in decibels.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from demo.dct_vae import DctVideoVAE, round_trip
from demo.drawing import render
from demo.recipes import DIMENSIONS, Profile, Recipe, caption, random_facts, random_recipe
from demo.truth import measure
from demo.world import GENERATORS

SEED = 2024  # constants of the truth saw seed 7
KEPT = (24, 32, 48)


def unseen(count: int) -> list[Recipe]:
    """Half of them of the demo's generators, half of uniform quality."""
    rng = np.random.default_rng(SEED)
    profiles = [*GENERATORS.values(), *[Profile("uniform")] * len(GENERATORS)]
    return [
        random_recipe(rng, random_facts(rng), profiles[index % len(profiles)])
        for index in range(count)
    ]


def figures(recipes: list[Recipe], kept: int) -> dict[str, Any]:
    drawn = np.stack([render(recipe) for recipe in recipes])
    clips = round_trip(drawn, DctVideoVAE(z_dim=kept))
    found = [measure(c, caption(r.asked)) for c, r in zip(clips, recipes, strict=True)]
    known = [recipe.quality() for recipe in recipes]
    error = np.mean((clips.astype(float) - drawn) ** 2)
    rho = {
        key: float(spearmanr([each[key] for each in found], [each[key] for each in known])[0])
        for key in DIMENSIONS
    }
    return {"kept": kept, "decibels": float(10 * np.log10(255**2 / error)), "spearman": rho}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    recipes = unseen(given.clips)
    rows = [figures(recipes, kept) for kept in KEPT]
    print("coefficients  decibels  " + "  ".join(f"{key:>5}" for key in DIMENSIONS))
    for row in rows:
        rho = "  ".join(f"{row['spearman'][key]:5.3f}" for key in DIMENSIONS)
        print(f"{row['kept']:12}  {row['decibels']:8.1f}  {rho}")
    if given.json:
        given.json.write_text(json.dumps({"clips": given.clips, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
