"""`python -m demo render` for the anime world: clips, start images, and pairs that name them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo.anime.recipes import DIMENSIONS, AnimeRecipe, caption
from demo.anime.world import start_image
from demo.render import PAIRS, RECIPES, RenderConfig, render_world
from formats.files import read_jsonl
from formats.outcome import ExitCode
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised

pytestmark = pytest.mark.one_engine


def rendered(folder: Path, **config: Any) -> RunDir:
    run = RunDir(folder)
    run.prepare({"world": "anime", "prompts": 2, "clips_per_prompt": 2, **config}, {})
    assert render_world(Supervised(run)).exit_code == ExitCode.DONE
    return run


def rows(path: Path, schema: str) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(path, schema)]


def test_clips_lie_beside_the_images_that_they_start_from(tmp_path: Path) -> None:
    run = rendered(tmp_path / "run")
    recipes = rows(run.outputs / "recipes.jsonl", RECIPES)
    assert len(recipes) == 4
    for row in recipes:
        recipe = AnimeRecipe.from_json(row["recipe"])
        assert row["prompt"] == caption(recipe.asked)
        assert set(row["quality"]) == set(DIMENSIONS)
        with Image.open(run.outputs / row["image"]) as image:
            found = np.asarray(image)
        assert np.array_equal(found, start_image(recipe.asked, recipe.start))
    pairs = rows(run.outputs / "pairs.jsonl", PAIRS)
    images = {row["file"]: row["image"] for row in recipes}
    assert [(images[row["a"]], images[row["b"]]) for row in pairs] == [
        (row["image"], row["image"]) for row in pairs
    ]
    assert len({row["image"] for row in pairs}) == 2


def test_a_world_knows_its_own_generators_and_prompts() -> None:
    with pytest.raises(BadConfigError, match="unknown generator 'aurora'; known generators: lan"):
        RenderConfig(world="anime", generators=("aurora",))
    with pytest.raises(BadConfigError, match=r"prompts must lie in 1\.\.432"):
        RenderConfig(world="anime", prompts=433)
    with pytest.raises(BadConfigError, match="world must be one of first, anime, got 'third'"):
        RenderConfig(world="third")
    texts = ("Aki walks left in the meadow and a heart appears",)
    (asked,) = RenderConfig(world="anime", prompts=texts).asked()
    assert (asked.text, asked.start is not None) == (texts[0], True)
