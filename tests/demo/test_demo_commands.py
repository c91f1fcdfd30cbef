"""`python -m demo`: rendering gives equal bytes, measuring gives scores, mistakes sentences."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.clip_files import read_clip, sha256_of_pixels
from demo.measure import measure_generations
from demo.recipes import Recipe, caption
from demo.render import PAIRS, RECIPES, RenderConfig, render_world
from formats.errors import FormatError
from formats.files import read_jsonl, sha256_of
from formats.outcome import ExitCode
from formats.records import GenerationRecord, ScoreRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.supervised import BadConfigError, Supervised


def rendered(folder: Path, **config: Any) -> RunDir:
    run = RunDir(folder)
    run.prepare({"prompts": 3, "clips_per_prompt": 3, **config}, {})
    outcome = render_world(Supervised(run))
    assert outcome.exit_code == ExitCode.DONE
    return run


def rows(path: Path, schema: str) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(path, schema)]


def test_a_world_is_rendered_with_all_that_is_known_about_it(tmp_path: Path) -> None:
    run = rendered(tmp_path / "run")
    recipes = rows(run.outputs / "recipes.jsonl", RECIPES)
    assert len(recipes) == 9
    for row in recipes:
        path, recipe = run.outputs / row["file"], Recipe.from_json(row["recipe"])
        assert sha256_of(path) == row["sha256"]
        assert sha256_of_pixels(read_clip(path)) == row["pixels_sha256"]
        assert row["quality"] == pytest.approx(recipe.quality())
        assert row["prompt"] == caption(recipe.asked)
    pairs = rows(run.outputs / "pairs.jsonl", PAIRS)
    known = {row["file"]: row for row in recipes}
    assert len(pairs) == 9  # three clips in a ring, three prompts
    for pair in pairs:
        for side in ("a", "b"):
            assert known[pair[side]]["prompt"] == pair["prompt"]
            assert known[pair[side]]["generator"] == pair[f"generator_{side}"]
        assert pair["generator_a"] != pair["generator_b"]
    assert run.metrics_from(0)[0][-1].step == 9


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    runs = [rendered(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    files = [sha256_of(run.outputs / "recipes.jsonl") for run in runs]
    assert files[0] == files[1] != files[2]


def test_given_prompts_are_rendered_in_their_order(tmp_path: Path) -> None:
    texts = [
        "a red bar moving up on a sky background",
        "two blue bars moving up on a dark background",
    ]
    run = rendered(
        tmp_path / "run", prompts=texts, clips_per_prompt=2, generators=["aurora", "drift"]
    )
    assert [row["prompt"] for row in rows(run.outputs / "pairs.jsonl", PAIRS)] == texts


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"prompts": 289}, "prompts must lie in 1..288"),
        ({"clips_per_prompt": 1}, "at least 2"),
        ({"pairs_per_prompt": 7, "clips_per_prompt": 4}, "at most 6 pairs"),
        ({"generators": ["borealis"]}, "unknown generator 'borealis'"),
        ({"generators": []}, "at least one"),
        ({"clips": 4}, "unknown key 'clips'"),
    ],
)
def test_a_config_that_cannot_be_is_refused(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadConfigError, match=complaint):
        RenderConfig.from_json(config)


def test_the_truth_of_generated_clips_becomes_scores(tmp_path: Path) -> None:
    world = rendered(tmp_path / "world", generators=["aurora"], through_vae=True)
    known = rows(world.outputs / "recipes.jsonl", RECIPES)[:4]
    records = [
        GenerationRecord(
            f"p{n}", row["prompt"], "test", VideoRef(f"v{n}", row["file"], row["sha256"], 8, 9)
        )
        for n, row in enumerate(known)
    ]
    missing = VideoRef("v9", "clips/none.mp4", "", 8, 9)
    records.append(GenerationRecord("p9", known[0]["prompt"], "test", missing))
    source = world.outputs / "generations.jsonl"
    GenerationRecord.write(source, records)
    run = RunDir(tmp_path / "run")
    run.prepare({}, {"generations": Input(str(source), sha256_of(source))})

    outcome = measure_generations(Supervised(run))

    output = outcome.outputs[0]
    assert output.meta["judge"] == "truth"
    assert output.sha256 == sha256_of(run.root / output.path)
    *scores, unreadable = ScoreRecord.read(run.root / output.path)
    assert unreadable.error
    assert not unreadable.score
    for score, row in zip(scores, known, strict=True):
        assert score.raw == score.score
        assert score.score["TA"] == pytest.approx(row["quality"]["TA"])
        assert score.score == pytest.approx(row["quality"], abs=1.5)
    assert outcome.summary["unreadable"] == 1


def test_measuring_has_no_settings(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.prepare({"judge": "eye"}, {})
    with pytest.raises(BadConfigError, match="unknown key 'judge'"):
        measure_generations(Supervised(run))


def test_a_broken_clip_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no clip")
    with pytest.raises(FormatError, match=r"broken\.mp4: the clip cannot be read"):
        read_clip(broken)


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-m", "demo", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_command_tells_how_it_is_used_and_what_is_wrong(tmp_path: Path) -> None:
    assert demo().returncode == 2
    assert (
        "usage: python -m demo {render,annotate,measure,pretrain} RUN_DIR" in demo("dance").stderr
    )
    run = RunDir(tmp_path / "run")
    run.prepare({"base": "poet"}, {})
    ended = demo("pretrain", str(run.root))
    assert ended.returncode == ExitCode.BAD_CONFIG
    assert "base must be vlm, generator, anime_vlm or anime_generator, got 'poet'" in ended.stderr
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.reason == "bad_config"
