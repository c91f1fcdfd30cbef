"""Flow-NRG: what following a reward does to a distribution, and to a run of sampling."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from formats.files import sha256_of
from formats.records import GenerationRecord, PromptRecord
from formats.run_dir import Input, RunDir
from formats.supervised import BadConfigError, Supervised
from models_align.config import ConfigError, GenerationConfig, GuidanceSettings
from models_align.denoising import Task, TextStates, denoise
from models_align.generators.tiny_wan import gaussian_velocity
from models_align.guidance import Guide, reward_gradient
from models_align.latent_reward.running import train_latent_reward
from models_align.sampling import sample

NOTHING = torch.zeros(1)


class Toy:
    """A reward that is a formula of x_t and t."""

    dimensions = ("x",)

    def __init__(self, formula: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]):
        self.formula = formula

    def reward(self, x_t, t, text_embedding):
        return self.formula(x_t, t)


def noise_aware(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """log E[exp(x_0) | x_t] without its constant, where x_0 is standard normal: ML.md 4.5."""
    return x_t * (1 - t) / ((1 - t).square() + t.square())


def clean(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """What is right for x_0, asked about x_t."""
    return x_t


def sampled_mean(reward: Callable, weight: float, steps: int = 400) -> tuple[float, float]:
    """Mean and deviation of what sampling leaves of standard normal data, with guidance."""
    guide = Guide.of(Toy(reward), GuidanceSettings(weight=weight, max_factor=1000.0))
    x = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    for now, then in pairwise(times):
        t = now.expand(len(x))[:, None]
        velocity = guide.applied(gaussian_velocity(x, t[:, 0]), x, t, NOTHING)
        x = x - (now - then) * velocity
    return x.mean().item(), x.std().item()


def test_the_noise_aware_gradient_hits_the_target_and_the_clean_one_overshoots():
    """Target: p exp(w x) of a standard normal is a normal around w."""
    start, spread = sampled_mean(noise_aware, 0.0)
    assert spread == pytest.approx(1.0, abs=0.03)
    for weight in (0.5, 1.0):
        mean, spread = sampled_mean(noise_aware, weight)
        assert mean - start == pytest.approx(weight, abs=0.02)
        assert spread == pytest.approx(1.0, abs=0.03)
    overshot, _ = sampled_mean(clean, 1.0)
    assert overshot - start > 4


def test_the_gradient_is_of_the_weighted_sum_and_each_sample_has_its_own():
    class Two:
        dimensions = ("a", "b")

        def reward(self, x_t, t, text_embedding):
            return torch.stack([(x_t**2).sum(1), 3 * x_t.sum(1)], dim=1)

    x, t = torch.tensor([[1.0, 2.0], [5.0, -1.0]]), torch.tensor([0.5, 0.5])
    with torch.no_grad():
        found = reward_gradient(Two(), x, t, NOTHING, torch.tensor([0.5, 0.1]))
    assert torch.allclose(found, x + 0.3)
    guide = Guide.of(Two(), GuidanceSettings(weight=2.0, dimensions={"b": 1.0}))
    # The factor is 1 at t = 0.5.
    assert torch.equal(guide.applied(torch.zeros(2, 2), x, t, NOTHING), torch.full((2, 2), -6.0))
    assert Guide.of(Two(), GuidanceSettings(weight=1.0)).weights.tolist() == [0.5, 0.5]


def test_weight_0_and_t_1_ask_the_reward_nothing():
    def never(x_t, t):
        raise AssertionError("asked")

    velocity, x = torch.randn(2, 3), torch.randn(2, 3)
    for weight, t in ((0.0, 0.5), (3.0, 1.0)):
        guide = Guide.of(Toy(never), GuidanceSettings(weight=weight))
        assert guide.applied(velocity, x, torch.full((2,), t), NOTHING) is velocity


def test_the_reward_moves_the_velocity_behind_the_guidance_by_text(tiny_wan, monkeypatch):
    """In one step: the velocity that text guidance gives, minus weight x factor x gradient."""
    config = GenerationConfig(steps=2, guidance_scale=3.0, height=64, width=64, num_frames=9)
    tasks, text = [Task(PromptRecord("p", "a red circle"), seed=0)], TextStates(tiny_wan, "")
    seen: dict[str, torch.Tensor] = {}

    class Watching(Guide):
        def applied(self, velocity, x_t, t, given):
            seen.update(velocity=velocity, x=x_t, t=t, text=given)
            return super().applied(velocity, x_t, t, given)

    toy = Toy(lambda x_t, _: x_t.flatten(1).sum(1, keepdim=True))
    denoise(tiny_wan, text, tasks, config, Watching(toy, torch.ones(1), 1.0, 10.0))
    with_text, without = (
        tiny_wan.velocity(seen["x"], seen["t"], text.of([prompt]))
        for prompt in ("a red circle", "")
    )
    assert torch.allclose(seen["velocity"], without + 3.0 * (with_text - without))
    assert torch.equal(seen["text"], text.of(["a red circle"]))


@pytest.fixture
def latent_reward_model(latent_reward_run) -> Input:
    run = latent_reward_run("train", {"steps": 8, "lr": 5e-3, "head_lr": 5e-2})
    train_latent_reward(Supervised(run))
    folder = run.outputs / "latent_reward_model"
    return Input(str(folder), sha256_of(folder / "manifest.json"))


def hashes(run: RunDir) -> list[str]:
    file = run.outputs / "generations" / "generations.jsonl"
    return [each.video.sha256 for each in GenerationRecord.read(file)]


def test_a_run_follows_the_reward_and_weight_0_is_plain_sampling_to_the_bit(
    generation_run, latent_reward_model
):
    runs = {
        "plain": generation_run("plain", {}),
        "silent": generation_run(
            "silent",
            {"reward_guidance": {"weight": 0, "max_norm": 0.1}},
            latent_reward_model=latent_reward_model,
        ),
        "guided": generation_run(
            "guided",
            {"reward_guidance": {"weight": 3000, "dimensions": {"red": 1.0}}},
            latent_reward_model=latent_reward_model,
        ),
        "control": generation_run(
            "control",
            {"reward_guidance": {"weight": 3000, "untrained": 1}},
            latent_reward_model=latent_reward_model,
        ),
    }
    for run in runs.values():
        sample(Supervised(run))
    assert hashes(runs["silent"]) == hashes(runs["plain"])
    assert len({name for run in runs.values() for name in hashes(run)}) == 9


def test_a_reward_of_another_generator_or_dimension_is_refused(
    generation_run, latent_reward_model, tiny_wan_folder, tmp_path
):
    weights = {"reward_guidance": {"weight": 1, "dimensions": {"blue": 1.0}}}
    run = generation_run("g", weights, latent_reward_model=latent_reward_model)
    with pytest.raises(BadConfigError, match="does not judge 'blue'; it judges red"):
        sample(Supervised(run))
    run = generation_run("none", {"reward_guidance": {"weight": 1}})
    with pytest.raises(BadConfigError, match="needs an input latent_reward_model, and has none"):
        sample(Supervised(run))
    (tmp_path / "moved").symlink_to(tiny_wan_folder)
    other = Input(str(tmp_path / "moved"))
    run = generation_run("o", {}, latent_reward_model=latent_reward_model, generator=other)
    with pytest.raises(BadConfigError, match="trained on the latents of"):
        sample(Supervised(run))


def test_settings_of_guidance_that_cannot_be_are_refused():
    for settings, sentence in (
        ({"weight": -1}, "weight must be 0 or more, got -1"),
        ({"max_factor": 0}, "max_factor must be above 0"),
        ({"dimensions": {"VQ": "much"}}, "dimensions of VQ must be a number, got 'much'"),
        ({"dimensions": ["VQ"]}, "dimensions must be an object"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            GenerationConfig.from_json({"reward_guidance": settings})
