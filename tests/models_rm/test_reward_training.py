"""A whole training run, from the run directory to the model folder."""

from collections.abc import Callable

from formats.outcome import OutputKind
from formats.run_dir import RunDir
from formats.supervised import supervise
from models_rm.scoring import RewardModel
from models_rm.training import train


def outcome_of(run: RunDir):
    code = supervise(train, run)
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.exit_code == code, outcome.message
    return outcome


def test_a_run_leaves_a_model_that_scores(make_run: Callable[..., RunDir], media) -> None:
    run = make_run()
    outcome = outcome_of(run)
    assert outcome.message == "trained for 4 steps"
    assert outcome.outputs[0].kind is OutputKind.REWARD_MODEL
    model = RewardModel.load(run.root / outcome.outputs[0].path)
    folder, clips = media
    scores = model.score(["prompt 0"], [folder / clips[0].path])
    assert set(scores) == {"VQ", "MQ", "TA"}
