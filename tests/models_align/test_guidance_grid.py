"""A grid of reward guidance: its cells, their clips, and what it refuses."""

import pytest

from formats.files import sha256_of
from formats.records import GenerationRecord
from formats.run_dir import Input
from formats.supervised import BadConfigError, Supervised
from models_align.grid import sample_grid
from models_align.grid_config import ConfigError, GridConfig
from models_align.latent_reward.running import train_latent_reward
from models_align.sampling import sample

pytestmark = pytest.mark.one_engine


def test_a_grid_is_every_table_at_every_strength_a_plain_cell_and_controls():
    config = GridConfig.from_json(
        {
            "weights": [{"TA": 1}, {"VQ": 0.5, "MQ": 0.5, "TA": 0}],
            "strengths": [1, 3],
            "generation": {"reward_guidance": {"max_factor": 5, "max_norm": 0.5}},
        }
    )
    cells = list(config.cells())
    assert [each.name for each in cells] == [
        "plain",
        "TA 1, strength 1",
        "VQ 0.5 MQ 0.5, strength 1",
        "TA 1, strength 3",
        "VQ 0.5 MQ 0.5, strength 3",
        "untrained 1, strength 1",
        "untrained 2, strength 1",
        "untrained 1, strength 3",
        "untrained 2, strength 3",
    ]
    assert [each.settings.weight for each in cells] == [0, 1, 1, 3, 3, 1, 1, 3, 3]
    assert {(each.settings.max_factor, each.settings.max_norm) for each in cells} == {(5.0, 0.5)}
    assert [each.settings.untrained for each in cells] == [0] * 5 + [1, 2] * 2
    assert GridConfig.from_json(config.to_json()) == config
    assert [each.name for each in GridConfig(untrained=0).cells()] == [
        "plain",
        "all equally, strength 100",
    ]


def test_a_grid_that_cannot_be_is_refused():
    for values, sentence in (
        ({"strengths": []}, "strengths must be one number at least"),
        ({"strengths": [1, 0]}, "strengths must be above 0"),
        ({"strengths": [1, 1]}, "strengths must be given once each, got 1"),
        ({"weights": [{"TA": 1}, {"TA": 1}]}, "weights must be given once each"),
        ({"weights": [{"TA": 0}]}, "each table of weights must be above 0 somewhere"),
        ({"weights": [{"TA": "much"}]}, "each of weights of TA must be a number, got 'much'"),
        ({"weights": {"TA": 1}}, "weights must be a list of objects"),
        ({"strengths": list(range(1, 70))}, "the grid must be up to 60 cells"),
        (
            {"generation": {"reward_guidance": {"weight": 1}}},
            "the cells say how strongly",
        ),
    ):
        with pytest.raises(ConfigError, match=sentence):
            GridConfig.from_json(values)


def test_cells_share_prompts_and_seeds_and_the_plain_one_is_plain_sampling(
    generation_run, latent_reward_run
):
    rewarding = latent_reward_run("train", {"steps": 8, "lr": 5e-3, "head_lr": 5e-2})
    train_latent_reward(Supervised(rewarding))
    folder = rewarding.outputs / "latent_reward_model"
    model = Input(str(folder), sha256_of(folder / "manifest.json"))
    plain = generation_run("plain", {}, prompts=2)
    sample(Supervised(plain))

    def grid_run(name, **changes):
        run = generation_run(name, {}, prompts=2, latent_reward_model=model)
        grid = {"weights": [{"red": 1.0}], "strengths": [3000.0], "generation": run.config()}
        inputs = {
            role: Input(str(run.input(role)))
            for role in ("prompts", "generator", "latent_reward_model")
        }
        run.prepare({**grid, **changes}, inputs)
        return run

    run = grid_run("grid")
    outcome = sample_grid(Supervised(run))
    (output,) = outcome.outputs
    records = GenerationRecord.read(run.root / output.path)
    cells = output.meta["cells"]
    assert [each["generator"] for each in cells] == [
        "tiny (plain)",
        "tiny (red 1, strength 3000)",
        "tiny (untrained 1, strength 3000)",
        "tiny (untrained 2, strength 3000)",
    ]
    by_cell = {
        each["name"]: [r for r in records if r.video.generator == each["generator"]]
        for each in cells
    }
    keys = {name: [(r.prompt, r.video.seed) for r in made] for name, made in by_cell.items()}
    assert len({tuple(each) for each in keys.values()}) == 1
    file = plain.outputs / "generations" / "generations.jsonl"
    of_plain = [each.video.sha256 for each in GenerationRecord.read(file)]
    assert [each.video.sha256 for each in by_cell["plain"]] == of_plain
    # Another draw of random weights is another control.
    assert len({each.video.sha256 for each in records}) == 8
    for each in records:
        assert sha256_of(run.outputs / "generations" / each.video.path) == each.video.sha256
        assert "motion" in each.measures
    assert [line.step for line in run.metrics_from(0)[0]][-1] == 8
    # Once more: everything is there already.
    made = (run.outputs / "generations" / records[0].video.path).stat().st_mtime_ns
    sample_grid(Supervised(run))
    assert (run.outputs / "generations" / records[0].video.path).stat().st_mtime_ns == made

    unknown = grid_run("unknown", weights=[{"blue": 1.0}])
    with pytest.raises(BadConfigError, match="does not judge 'blue'; it judges red"):
        sample_grid(Supervised(unknown))
    assert not (unknown.outputs / "generations").exists()
