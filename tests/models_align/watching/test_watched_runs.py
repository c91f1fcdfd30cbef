"""A run under watch: what it shows, that looking changes nothing, which weights an alarm keeps."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from formats.checkpoints import best, checkpoints, metric_of
from formats.errors import FormatError
from formats.files import read_json, sha256_of
from formats.outcome import OutputKind
from formats.records import GenerationRecord, PairRecord, PromptRecord
from formats.run_dir import Input, RunDir
from formats.supervised import BadConfigError, Supervised
from models_align.errors import WatchedPromptsError
from models_align.motion import motion_amount
from models_align.sampling import sample
from models_align.training import train
from models_align.video import read_clip
from models_align.watching import looking, series, wishes
from models_align.watching.looks import Look, read_looks
from models_align.watching.untouched import untouched
from models_align.watching.watch import Watch

pytestmark = pytest.mark.one_engine

WATCH = {"every": 2, "clips_per_prompt": 2, "steps": 2, "guidance_scale": 1.0, "batch": 2}
HELD_OUT = ["two red bars moving up", "a blue circle moving left"]


class Liking:
    """A judge that likes what it is told to: brightness times `sign`."""

    sees_start_image = False

    def __init__(self, sign: float):
        self.sign = sign

    def score(self, prompts: list[str], videos: list[Path], images: Any = None) -> Any:
        bright = [read_clip(each).float().mean().item() / 255 for each in videos]
        return {"VQ": [self.sign * each for each in bright], "MQ": [0.0 for _ in bright]}


@pytest.fixture
def watched_run(alignment_run: Callable[..., RunDir], tmp_path: Path) -> Callable[..., RunDir]:
    """Prepares an alignment run with held-out prompts: watched_run("a", {...config...})."""

    def prepare(
        name: str, config: dict[str, Any], texts: list[str] = HELD_OUT, **more: Input
    ) -> RunDir:
        run = alignment_run(name, {"watch": WATCH, **config}, _pairs(tmp_path))
        file = tmp_path / f"{name}-watch.jsonl"
        PromptRecord.write(file, [PromptRecord(f"w{n}", text) for n, text in enumerate(texts)])
        rows = read_json(run.inputs_file, "inputs/1")["inputs"]
        inputs = {role: Input(**row) for role, row in rows.items()}
        inputs |= {"watch_prompts": Input(str(file), sha256_of(file)), **more}
        settings = {key: value for key, value in run.config().items() if key != "schema"}
        run.prepare(settings, inputs, media_root=run.media_root())
        return run

    def _pairs(folder: Path) -> Path | None:
        return folder / "pairs.jsonl" if (folder / "pairs.jsonl").exists() else None

    return prepare


def weights(run: RunDir) -> dict[str, torch.Tensor]:
    return load_file(run.outputs / "adapter" / "pytorch_lora_weights.safetensors")


def looks(run: RunDir) -> list[Look]:
    return read_looks(run.outputs / "watched")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(each, other[k]) for k, each in one.items()
    )


# What is seen.


def test_a_run_shows_the_base_and_itself_on_the_same_prompts_and_seeds(watched_run) -> None:
    run = watched_run("run", {"lr": 1e-2})
    outcome = train(Supervised(run))
    base, *later = looks(run)
    assert [look.step for look in (base, *later)] == [0, 2, 4]
    for look in later:
        assert [(c.prompt, c.seed) for c in look.clips] == [(c.prompt, c.seed) for c in base.clips]
    assert (
        len({clip.sha256 for clip in base.clips}) == 4
    )  # each prompt and seed has noise of its own
    assert not {clip.sha256 for clip in base.clips} & {clip.sha256 for clip in later[-1].clips}
    frames = read_clip(run.outputs / "watched" / "clips" / f"{base.clips[0].name}.mp4")
    assert frames.shape == (9, 64, 64, 3)  # as in the pairs
    assert base.clips[0].measures["motion"] == pytest.approx(motion_amount(frames), rel=0.2)
    assert outcome.summary["watched"]["motion"]["base"] == pytest.approx(
        sum(base.motion) / len(base.motion)
    )


def test_the_base_of_the_watch_is_the_generator_without_an_adapter(
    watched_run, generation_run, tiny_wan_folder
) -> None:
    run = watched_run("run", {"steps": 1})
    train(Supervised(run))
    clips = generation_run("base", {"guidance_scale": 1.0, "clips_per_prompt": 2})
    file = run.input("watch_prompts")
    clips.prepare(
        {k: v for k, v in clips.config().items() if k != "schema"},
        {"prompts": Input(str(file)), "generator": Input(str(tiny_wan_folder))},
    )
    sample(Supervised(clips))
    made = GenerationRecord.read(clips.outputs / "generations" / "generations.jsonl")
    assert [each.video.sha256 for each in made] == [clip.sha256 for clip in looks(run)[0].clips]


def test_the_looks_are_a_generation_set_whose_generator_says_the_step(watched_run) -> None:
    run = watched_run("run", {"name": "Flow-DPO"})
    outcome = train(Supervised(run))
    (output,) = [each for each in outcome.outputs if each.kind is OutputKind.GENERATIONS]
    assert sha256_of(run.root / output.path) == output.sha256
    rows = GenerationRecord.read(run.root / output.path)
    assert len(rows) == output.meta["clips"] == 3 * 4
    assert {row.video.generator for row in rows} == {
        f"Flow-DPO (run run) step {step}" for step in (0, 2, 4)
    }
    for row in rows:
        clip = run.root / "outputs" / "watched" / row.video.path
        assert sha256_of(clip) == row.video.sha256
        assert row.measures["motion"] >= 0


def test_judges_score_every_clip_and_means_are_logged(watched_run, monkeypatch) -> None:
    monkeypatch.setattr(
        looking, "judges_of", lambda _run: {"reward": Liking(1.0), "judge": Liking(-1.0)}
    )
    run = watched_run("run", {})
    train(Supervised(run))
    for look in looks(run):
        for clip in look.clips:
            assert clip.scores["judge"]["VQ"] == -clip.scores["reward"]["VQ"] != 0
    lines = [each for each in run.metrics_from(0)[0] if each.stage == "watching"]
    assert [each.step for each in lines] == [0, 2, 4]
    first = looks(run)[0]
    expected = sum(clip.scores["reward"]["VQ"] / 2 for clip in first.clips) / 4
    assert lines[0].values["watched/reward"] == pytest.approx(expected)
    assert lines[0].values["watched/diversity"] == pytest.approx(sum(first.spread.values()) / 2)


# What it must not do.


LEAN = {"gradient_checkpointing": True, "noise_draws": 2, "reference": "cached"}


@pytest.mark.parametrize("config", [{}, LEAN], ids=["plain", "lean"])
def test_a_watched_run_learns_bit_for_bit_what_an_unwatched_one_learns(
    watched_run, alignment_run, tmp_path, config
) -> None:
    settings = {"lora": {"r": 2, "alpha": 4, "dropout": 0.2}, "caption_dropout": 0.3, **config}
    watched = watched_run("watched", settings)
    train(Supervised(watched))
    plain = alignment_run("plain", settings, tmp_path / "pairs.jsonl")
    train(Supervised(plain))
    assert same(weights(watched), weights(plain))

    def logs(run: RunDir) -> list[dict[str, float]]:
        return [each.values for each in run.metrics_from(0)[0] if each.stage == "training"]

    assert logs(watched) == logs(plain)


def test_looking_leaves_chance_modes_and_gradients_as_they_were(watched_run, tiny_wan) -> None:
    network = tiny_wan.transformer
    network.train()
    network.blocks[0].eval()  # a mixture, as some adapters leave it
    modes = [each.training for each in network.modules()]
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with untouched(tiny_wan):
        assert not any(each.training for each in network.modules())
        assert not torch.is_grad_enabled()
        torch.rand(100)
    assert [each.training for each in network.modules()] == modes
    assert torch.is_grad_enabled()
    assert torch.equal(torch.rand(3), expected)


def test_prompts_that_are_trained_on_are_not_watched(watched_run) -> None:
    run = watched_run("run", {}, [*HELD_OUT, "two blue bars moving up"])
    with pytest.raises(WatchedPromptsError, match="'two blue bars moving up' is one of the train"):
        train(Supervised(run))
    assert not (run.outputs / "adapter").exists()


def test_one_prompt_is_too_few(watched_run) -> None:
    with pytest.raises(WatchedPromptsError, match="two held-out prompts at least, got 1"):
        train(Supervised(watched_run("run", {}, HELD_OUT[:1])))


def test_the_reward_model_is_not_its_own_independent_judge(watched_run, tmp_path) -> None:
    folder = tmp_path / "rm"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    same_model = Input(str(folder))
    run = watched_run("run", {}, reward_model=same_model, judge=same_model)
    with pytest.raises(BadConfigError, match="the judge is the reward model itself"):
        train(Supervised(run))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"stop_on": ["motion"]}, "stop_on 'motion' is seen on clips of watch_prompts"),
        ({"stop_on": ["hacking"]}, "stop_on 'hacking' is seen on clips of watch_prompts"),
    ],
)
def test_an_alarm_that_nothing_could_raise_is_refused(alignment_run, config, words) -> None:
    with pytest.raises(BadConfigError, match=words):
        train(Supervised(alignment_run("run", config)))


def test_alarms_that_need_judges_or_seeds_say_so(watched_run) -> None:
    with pytest.raises(BadConfigError, match=r"needs the inputs reward_model .* and judge"):
        train(Supervised(watched_run("a", {"stop_on": ["hacking"]})))
    one_clip = {**WATCH, "clips_per_prompt": 1}
    with pytest.raises(BadConfigError, match="clips_per_prompt of 2 or more, got 1"):
        train(Supervised(watched_run("b", {"stop_on": ["diversity"], "watch": one_clip})))


# Alarms and what they keep.


def drifting(monkeypatch: pytest.MonkeyPatch, wrong_from: int) -> None:
    """The error on winners is above its reference from this step on, whatever was learned."""
    read = series.Series.read

    def lying(self: series.Series, step: int, values: dict[str, float]) -> Any:
        if "winner_drift" in values:
            values = {**values, "winner_drift": 1.0 if step >= wrong_from else -1.0}
        return read(self, step, values)

    monkeypatch.setattr(series.Series, "read", lying)


STOPPING = {"stop_on": ["displacement"], "alarms": {"displacement_logs": 3}, "save_every": 2}


def test_an_alarm_keeps_the_weights_of_the_last_good_checkpoint(
    alignment_run, write_pairs, monkeypatch
) -> None:
    pairs = write_pairs()
    short = alignment_run("short", {"steps": 4, "lr": 1e-2}, pairs)
    train(Supervised(short))
    drifting(monkeypatch, wrong_from=6)
    run = alignment_run("run", {"steps": 20, "lr": 1e-2, **STOPPING}, pairs)
    outcome = train(Supervised(run))
    # Wrong at 6, 7 and 8: the alarm comes at 8, good was 5, the checkpoint before it is that of 4,
    # although newer ones were committed since.
    assert outcome.summary["stopped_by"] == "displacement"
    assert outcome.summary["steps"] == 4
    assert same(weights(run), weights(short))
    (said,) = outcome.summary["alarms"]
    assert said.startswith("displacement at step 8: ")
    assert "Take safe_dpo" in said
    (alarm,) = json.loads((run.root / "alarms.json").read_text())["alarms"]
    assert (alarm["step"], alarm["good"], alarm["stopped"]) == (8, 5, True)
    card = json.loads((run.outputs / "adapter" / "card.json").read_text())
    assert (card["steps"], card["stopped_by"]) == (4, "displacement")


def test_a_checkpoint_that_an_alarm_may_go_back_to_outlives_newer_ones(
    alignment_run, monkeypatch
) -> None:
    drifting(monkeypatch, wrong_from=3)
    longer = {**STOPPING, "alarms": {"displacement_logs": 9}}
    run = alignment_run("run", {"steps": 10, **longer})
    train(Supervised(run))
    assert {each.step for each in checkpoints(run.checkpoints)} >= {2, 8}


@pytest.mark.promise("A3")
def test_the_checkpoint_that_the_judge_likes_best_outlives_newer_ones(
    watched_run, monkeypatch
) -> None:
    monkeypatch.setattr(looking, "judges_of", lambda _run: {"reward": Liking(1.0)})
    liked = {2: 0.2, 4: 0.9, 6: 0.1, 8: 0.3}
    monkeypatch.setattr(series.Series, "score_at", lambda _self, step: liked.get(step))
    run = watched_run("run", {"steps": 10, "save_every": 2})
    train(Supervised(run))
    assert [each.step for each in checkpoints(run.checkpoints)] == [8, 6, 4]
    found = best(run.checkpoints)
    assert found is not None
    assert (found.step, metric_of(found)) == (4, -0.9)


@pytest.mark.promise("A3")
def test_what_a_look_says_of_the_weights_is_the_mean_of_its_judge(watched_run, monkeypatch) -> None:
    judges = {"reward": Liking(1.0), "judge": Liking(-1.0)}
    monkeypatch.setattr(looking, "judges_of", lambda _run: judges)
    seen = []
    metric = Watch.metric
    monkeypatch.setattr(
        Watch, "metric", lambda self, step: seen.append((step, metric(self, step))) or None
    )
    run = watched_run("run", {"save_every": 2})
    train(Supervised(run))
    (look,) = [each for each in looks(run) if each.step == 2]
    scores = look.scores("judge")
    assert seen == [(2, pytest.approx(-sum(scores) / len(scores)))]


def test_where_nothing_was_ever_good_the_result_is_the_base(alignment_run, monkeypatch) -> None:
    drifting(monkeypatch, wrong_from=1)
    run = alignment_run("run", {"steps": 20, "lr": 1e-2, **STOPPING})
    outcome = train(Supervised(run))
    assert outcome.summary["steps"] == 0
    assert all(not each.any() for name, each in weights(run).items() if "lora_B" in name)


def test_a_damaged_checkpoint_is_not_what_is_kept(alignment_run, monkeypatch) -> None:
    drifting(monkeypatch, wrong_from=6)
    run = alignment_run("run", {"steps": 20, **STOPPING})
    fed = Watch.fed

    def damaging(self: Watch, step: int, values: dict[str, float]) -> Any:
        verdict = fed(self, step, values)
        if verdict.stop:
            for each in checkpoints(run.checkpoints):
                if each.step == 4:
                    (each.path / "state.safetensors").write_bytes(b"torn")
                elif each.step < 4:
                    raise AssertionError("only the newest good one is protected")
        return verdict

    monkeypatch.setattr(Watch, "fed", damaging)
    with pytest.raises(FormatError, match="no whole checkpoint of step 5 or before is left"):
        train(Supervised(run))


def test_an_alarm_that_ends_nothing_is_said_once_and_training_goes_on(
    alignment_run, monkeypatch, capsys
) -> None:
    drifting(monkeypatch, wrong_from=2)
    run = alignment_run("run", {"steps": 8, "alarms": {"displacement_logs": 2}})
    outcome = train(Supervised(run))
    assert outcome.summary["steps"] == 8
    assert "stopped_by" not in outcome.summary
    assert capsys.readouterr().out.count("alarm: displacement at step 3: ") == 1


def test_a_run_stops_when_the_judges_part(watched_run, monkeypatch) -> None:
    class Parting(Liking):
        """Likes each look better or worse than the one before, whatever it shows."""

        seen = 0

        def score(self, prompts: list[str], videos: list[Path], images: Any = None) -> Any:
            self.seen += 1
            return {"VQ": [self.sign * self.seen + 0.01 * n for n, _ in enumerate(videos)]}

    judges = {"reward": Parting(1.0), "judge": Parting(-1.0)}
    monkeypatch.setattr(looking, "judges_of", lambda _run: judges)
    monkeypatch.setattr("models_align.training.refuse_what_cannot_be", lambda *_: None)
    run = watched_run("run", {"steps": 10, "stop_on": ["hacking"], "save_every": 1})
    outcome = train(Supervised(run))
    assert outcome.summary["stopped_by"] == "hacking"
    assert outcome.summary["steps"] == 0  # the independent judge liked the base best
    assert [look.step for look in looks(run)] == [0, 2]


# Going on.


def test_a_resumed_watch_knows_what_was_seen_and_looks_again_at_what_is_lost(
    watched_run, monkeypatch
) -> None:
    whole = watched_run("whole", {"steps": 6})
    train(Supervised(whole))
    broken = watched_run("broken", {"steps": 6, "save_every": 3})
    look = looking.Eye.look

    def dying(self: looking.Eye, step: int, *rest: Any, **more: Any) -> Any:
        found = look(self, step, *rest, **more)
        if step == 4:
            raise KeyboardInterrupt  # behind the look at step 4; the checkpoint is of step 3
        return found

    with monkeypatch.context() as patch:
        patch.setattr(looking.Eye, "look", dying)
        with pytest.raises(KeyboardInterrupt):
            train(Supervised(broken))
    assert [each.step for each in looks(broken)] == [0, 2, 4]
    outcome = train(Supervised(broken))
    assert looks(broken) == looks(whole)
    assert outcome.summary["watched"].keys() == {"motion", "diversity"}
    assert same(weights(broken), weights(whole))


def test_alarms_are_remembered_by_a_run_that_goes_on(alignment_run, monkeypatch, capsys) -> None:
    drifting(monkeypatch, wrong_from=2)
    run = alignment_run("run", {"steps": 8, "save_every": 4, "alarms": {"displacement_logs": 2}})
    fed = Watch.fed

    def dying(self: Watch, step: int, values: dict[str, float]) -> Any:
        if step == 6:
            raise KeyboardInterrupt
        return fed(self, step, values)

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "fed", dying)
        with pytest.raises(KeyboardInterrupt):
            train(Supervised(run))
    outcome = train(Supervised(run))
    assert outcome.summary["alarms"][0].startswith("displacement at step 3: ")
    assert capsys.readouterr().out.count("alarm: displacement") == 1


def test_the_pairs_of_other_splits_may_be_watched(watched_run, tmp_path) -> None:
    run = watched_run("run", {"steps": 1})
    pairs = PairRecord.read(run.input("pairs"))
    assert {each.prompt for each in pairs}.isdisjoint(HELD_OUT)
    held_out = [PromptRecord("a", HELD_OUT[0], "validation"), PromptRecord("b", "x", "test")]
    moved = [*pairs, replace(pairs[0], split="validation", prompt=HELD_OUT[0])]
    wishes.refuse_unfit(held_out, moved)
    with pytest.raises(WatchedPromptsError):
        wishes.refuse_unfit(held_out, [replace(pairs[0], prompt="x")])
