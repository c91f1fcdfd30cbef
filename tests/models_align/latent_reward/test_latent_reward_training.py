"""The latent reward run: what it learns from, how it resumes and stops, what it leaves."""

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file

from formats.checkpoints import verify_folder
from formats.errors import FormatError
from formats.outcome import OutputKind
from formats.run_dir import MetricLine, RunDir
from formats.supervised import BadConfigError, NonFiniteError, Supervised
from models_align.chance import indices_of_step
from models_align.generators.wan import load_wan
from models_align.latent_reward import judgements, training
from models_align.latent_reward.config import LatentRewardConfig
from models_align.latent_reward.running import train_latent_reward
from models_align.latent_reward.scoring import LatentRewardModel
from models_align.latent_reward.training import Trainer, set_up

MODEL = "latent_reward_model"


def trainer(run: RunDir) -> Trainer:
    config = LatentRewardConfig.from_json(run.config())
    return set_up(Supervised(run), config, load_wan(run.input("generator")))


def logs(run: RunDir) -> list[MetricLine]:
    return [line for line in run.metrics_from(0)[0] if line.stage == "training"]


def weights(run: RunDir) -> dict[str, torch.Tensor]:
    return load_file(run.outputs / MODEL / "weights.safetensors")


class Stopped(Exception):
    pass


class StopsAt(Supervised):
    """Asked to stop after a number of looks at which it could save."""

    def __init__(self, run_dir: RunDir, looks: int):
        super().__init__(run_dir)
        self.looks = looks

    def check(self, save: Callable[[], None] | None = None) -> None:
        if save is None:
            return
        self.looks -= 1
        if self.looks < 0:
            save()
            raise Stopped


def test_both_clips_of_a_pair_get_the_same_noise_at_the_same_t(latent_reward_run):
    found = trainer(latent_reward_run("run", {"timesteps": {"distribution": "uniform"}}))
    batch = found.data.batch(found.splits["train"], 3)
    assert len(batch.t.unique()) == len(batch.t)
    assert ((batch.t > 0) & (batch.t < 1)).all()
    pairs, encoder = found.splits["train"], found.data.encoder
    rows = training_rows(found, 3)
    for n, pair in enumerate(rows):
        a, b = (encoder.clip(pairs.rows[side[pair]][0])["latents"] for side in (pairs.a, pairs.b))
        gap = batch.noised_a[n] - batch.noised_b[n]
        assert torch.allclose(gap, (1 - batch.t[n]) * (a - b), atol=1e-5)
        noise = (batch.noised_a[n] - (1 - batch.t[n]) * a) / batch.t[n]
        assert 0.8 < noise.std() < 1.2


def training_rows(found: Trainer, step: int) -> list[int]:
    config = found.config
    return indices_of_step(len(found.splits["train"]), config.pairs_per_step, step, config.seed)


def test_clean_training_adds_no_noise(latent_reward_run):
    found = trainer(latent_reward_run("run", {"noise": "none"}))
    batch = found.data.batch(found.splits["train"], 0)
    assert batch.t.tolist() == [0.0] * 4
    (pair, *_) = training_rows(found, 0)
    pairs = found.splits["train"]
    clean = found.data.encoder.clip(pairs.rows[pairs.a[pair]][0])["latents"]
    assert torch.equal(batch.noised_a[0], clean)


def test_examination_shows_all_clips_of_a_prompt_the_same_noise_each_time(latent_reward_run):
    found = trainer(latent_reward_run("run", {}))
    pairs, encoder = found.splits["test"], found.data.encoder
    x_t, t, _ = found.data.examined(pairs, slice(None), 0.5)
    again, _, _ = found.data.examined(pairs, slice(1, 2), 0.5)
    assert torch.equal(x_t[1:2], again)
    data = torch.stack([encoder.clip(ref)["latents"] for ref, _ in pairs.rows])
    noise = 2 * x_t - data
    assert t.tolist() == [0.5] * 4
    assert torch.allclose(noise[0], noise[1], atol=1e-5)  # of one prompt
    assert not torch.allclose(noise[0], noise[2], atol=1e-1)


def test_it_learns_which_square_people_like_also_through_noise(latent_reward_run):
    run = latent_reward_run(
        "run", {"steps": 40, "eval_every": 20, "lr": 3e-3, "loss": "btt", "theta": 3.0}
    )
    outcome = train_latent_reward(Supervised(run))
    (output,) = outcome.outputs
    assert output.kind is OutputKind.LATENT_REWARD_MODEL
    verify_folder(run.root / output.path)
    (clean, noised) = outcome.summary["curve"]["test"]["red"]
    assert (clean["t"], noised["t"]) == (0.1, 0.5)
    assert clean["accuracy_without_ties"] == noised["accuracy_without_ties"] == 1.0
    assert clean["accuracy_without_ties_interval"] == [1.0, 1.0]
    card = (run.outputs / MODEL / "README.md").read_text()
    assert "| red | 0.5 | 2 | 1.000 | 1.000 to 1.000 | 1.000 | 0.000 |" in card
    last = [line.values for line in run.metrics_from(0)[0] if line.stage == "examined"][-1]
    assert last["test/accuracy/red"] == 1.0


@pytest.mark.parametrize("extra", [{}, {"trunk": "lora", "lora": {"r": 2, "dropout": 0.2}}])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(latent_reward_run, extra):
    config = {"steps": 5, "save_every": 2, "accumulation": 2, "schedule": "linear", **extra}
    whole, broken = latent_reward_run("whole", config), latent_reward_run("broken", config)
    expected = train_latent_reward(Supervised(whole))
    with pytest.raises(Stopped):
        train_latent_reward(StopsAt(broken, looks=7))
    found = train_latent_reward(Supervised(broken))
    assert found.summary == expected.summary
    assert weights(whole).keys() == weights(broken).keys()
    for name, each in weights(whole).items():
        assert torch.equal(each, weights(broken)[name]), name
    assert logs(whole)[-1].values == logs(broken)[-1].values


def test_accumulation_changes_only_the_memory(latent_reward_run):
    runs = [latent_reward_run(f"by-{n}", {"accumulation": n, "steps": 1}) for n in (1, 4)]
    for run in runs:
        train_latent_reward(Supervised(run))
    one, four = (logs(run)[0].values for run in runs)
    assert one["grad_norm"] > 1e-3
    assert one["loss"] == pytest.approx(four["loss"], rel=1e-4)
    assert one["grad_norm"] == pytest.approx(four["grad_norm"], rel=1e-3)


def test_it_stops_early_and_keeps_the_best_weights(latent_reward_run, monkeypatch):
    losses = iter([0.6, 0.5, 0.7, 0.8])
    monkeypatch.setattr(
        training, "mean_over_t", lambda _, name: {"red": next(losses)} if name == "loss" else {}
    )
    run = latent_reward_run("run", {"steps": 50, "eval_every": 1, "patience": 1, "save_every": 1})
    outcome = train_latent_reward(Supervised(run))
    assert outcome.summary["trained_steps"] == 3
    assert outcome.summary["steps"] == 2
    saved = load_file(run.checkpoints / "ckpt-00000003-0" / "state.safetensors")
    kept, last = (saved[f"{which}.head.weight"] for which in ("best", "weights"))
    assert not torch.equal(kept, last)
    assert torch.equal(weights(run)["head.weight"], kept)


def test_patience_without_held_out_prompts_is_refused(latent_reward_run, write_pairs):
    run = latent_reward_run("run", {"patience": 3}, write_pairs())
    with pytest.raises(BadConfigError, match="patience needs validation prompts"):
        train_latent_reward(Supervised(run))


@pytest.mark.parametrize(("loss", "counted"), [("bt", 8), ("btt", 9)])
def test_invalid_labels_never_count_and_ties_only_where_the_loss_knows_them(
    latent_reward_run, loss, counted
):
    found = trainer(latent_reward_run("run", {"loss": loss, "dimensions": [], "pairs_per_step": 9}))
    batch = found.data.batch(found.splits["train"], 0)
    valid = training.counted(batch, found.config)
    assert found.network.keys == ("red", "odd")
    assert valid.sum(0).tolist() == [counted, 0]
    # What does not count has no part in the loss, which is a mean over what does.
    assert (found._losses(batch)[~valid] == 0).all()


def test_a_part_of_the_judgements_is_spread_over_all_of_them(latent_reward_run):
    pairs = trainer(latent_reward_run("run", {})).splits["train"]
    part = pairs.some(3)
    for mine, whole in zip(range(3), (0, 4, 8), strict=True):
        assert part.prompts[mine] == pairs.prompts[whole]
        assert part.preference[mine] == pairs.preference[whole]
        for one, all_ in ((part.a, pairs.a), (part.b, pairs.b)):
            assert part.rows[one[mine]] == pairs.rows[all_[whole]]
    assert len(part.rows) < len(pairs.rows)
    assert pairs.some(9) is pairs


def test_a_dimension_without_any_label_is_refused(latent_reward_run):
    with pytest.raises(FormatError, match="no pair of the split 'train' has a label for odd"):
        train_latent_reward(Supervised(latent_reward_run("run", {"dimensions": ["odd"]})))
    with pytest.raises(BadConfigError, match="no dimension 'VQ' in the labels; there are: red"):
        train_latent_reward(Supervised(latent_reward_run("two", {"dimensions": ["VQ"]})))


def test_ties_alone_teach_bt_nothing_and_btt_something(latent_reward_run, monkeypatch):
    signs = dict.fromkeys(judgements.SIGN, 0)
    monkeypatch.setattr(judgements, "SIGN", signs)
    with pytest.raises(FormatError, match="is a tie, from which the loss bt learns nothing"):
        train_latent_reward(Supervised(latent_reward_run("bt", {})))
    train_latent_reward(Supervised(latent_reward_run("btt", {"loss": "btt", "steps": 2})))


def test_preference_pairs_are_labels_of_one_dimension(latent_reward_run, write_pairs):
    run = latent_reward_run("run", {}, write_pairs(count=4))
    train_latent_reward(Supervised(run))
    assert LatentRewardModel.load(run.outputs / MODEL).dimensions == ("overall",)
    found = trainer(latent_reward_run("again", {}, write_pairs(count=4))).splits["train"]
    # The better clip is not always the first.
    assert found.preference.ravel().tolist() == [1, -1, 1, -1]


def test_labels_come_from_one_place(latent_reward_run):
    run = latent_reward_run("run", {})
    inputs = run.inputs_file.read_text()
    run.inputs_file.write_text(inputs.replace('"snapshot"', '"something"'))
    with pytest.raises(BadConfigError, match="needs either a snapshot or pairs as its labels"):
        train_latent_reward(Supervised(run))


def test_a_loss_that_is_not_finite_stops_before_the_step(latent_reward_run, monkeypatch):
    run = latent_reward_run("run", {})
    monkeypatch.setattr(training, "bt_nll", lambda a, *_: a * float("nan"))
    with pytest.raises(NonFiniteError, match="step 0: the loss is nan"):
        train_latent_reward(Supervised(run))
    assert not (run.outputs / MODEL).exists()


def test_the_folder_gives_the_rewards_of_the_run_and_refuses_damage(latent_reward_run):
    run = latent_reward_run("run", {"theta": {"red": 3.0}, "loss": "btt"})
    train_latent_reward(Supervised(run))
    folder = run.outputs / MODEL
    model = LatentRewardModel.load(folder)
    generator = load_wan(run.input("generator"))
    text = generator.encode_prompts(["a red circle"])
    x = torch.randn(1, 6, 3, 8, 8, requires_grad=True)
    reward = model.reward(x, torch.tensor([0.4]), text)
    assert reward.shape == (1, 1)
    (gradient,) = torch.autograd.grad(reward.sum(), x)
    assert gradient.abs().max() > 0
    assert not any(each.requires_grad for each in model.network.parameters())
    model.refuse_other_generator(generator)
    generator.source = "another/generator"
    with pytest.raises(BadConfigError, match=r"on the latents of .*got the generator 'another/gen"):
        model.refuse_other_generator(generator)
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(FormatError, match=r"weights\.safetensors: the file is damaged"):
        LatentRewardModel.load(folder)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"nois": "none"}, "unknown key 'nois'; did you mean 'noise'?"),
        ({"loss": "margin"}, "loss must be one of bt, btt, got 'margin'"),
        ({"theta": 1.0}, "theta of all must be above 1, got 1.0"),
        ({"theta": {"red": 0.5}}, "theta of red must be above 1, got 0.5"),
        ({"theta": "five"}, "theta must be a number, got 'five'"),
        ({"evaluate_at": [0.5, 1.5]}, r"each of evaluate_at must be in \[0, 1\], got 1.5"),
        ({"evaluate_at": []}, "evaluate_at must be a list of at least one t"),
        ({"dimensions": ["VQ", "VQ"]}, "dimensions must be without repetition"),
        ({"accumulation": 5}, "accumulation must be a divisor of pairs_per_step, got 5"),
        ({"height": 64}, "height and width must be given both or not at all"),
    ],
)
def test_a_config_that_cannot_be_is_one_sentence(latent_reward_run, config, sentence):
    with pytest.raises(BadConfigError, match=sentence):
        train_latent_reward(Supervised(latent_reward_run("run", config)))


def test_theta_per_dimension_must_name_all_of_them(latent_reward_run):
    run = latent_reward_run("run", {"loss": "btt", "theta": {"blue": 3.0}})
    with pytest.raises(BadConfigError, match="exactly the dimensions red; got blue"):
        train_latent_reward(Supervised(run))
