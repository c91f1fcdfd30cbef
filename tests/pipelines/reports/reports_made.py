"""Reports made without training: results as their runs leave them, read by a report run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from formats.files import write_json
from formats.vbench import T2V
from formats.vbench_results import Value, VBenchResult
from pipelines.evaluation import EVALUATION
from pipelines.models import Artifact, Run, RunInput
from pipelines.retests.result import Agreement, DimensionResult, HumanTest, Share
from pipelines.starting import sha_of, start_run
from tests.pipelines.loop_world import play


def left_by(kind: str, name: str, artifact: str, write: Any, file: str) -> Artifact:
    """An artifact of a finished run; `write` writes its file and gives the sha256."""
    run = Run.objects.create(
        kind=kind, name=name, config={}, config_sha=sha_of({}), state="succeeded"
    )
    path = Path(settings.RUNS_ROOT) / str(run.pk) / "outputs" / file
    path.parent.mkdir(parents=True)
    return Artifact.objects.create(
        kind=artifact, run=run, path=f"{run.pk}/outputs/{file}", sha256=write(path), code="tests"
    )


def rate(low: float, high: float) -> dict[str, Any]:
    return {
        "rate": (low + high) / 2, "low": low, "high": high, "prompts": 40,
        "wins": 20, "ties": 10, "losses": 10, "p_value": 0.03,
    }  # fmt: skip


def judge(name: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {
        "judge": name, "was_training_reward": False, "shares_votes": False,
        "dimensions": {"overall": rate(low, high), "VQ": rate(low, high)},
        "changes": {}, "unmatched": 0, "unreadable": 0, **more,
    }  # fmt: skip


def evaluation(candidate: str, *judges: Mapping[str, Any], **more: Any) -> Artifact:
    body = {
        "candidate": candidate, "judges": list(judges), "measures": {}, "not_measured": {},
        "samples": [], **more,
    }  # fmt: skip
    return left_by(
        "evaluation", f"{candidate} against base", "evaluation",
        lambda path: write_json(path, EVALUATION, body), "evaluation.json",
    )  # fmt: skip


def human_test(candidate: str, wins: int, ties: int, losses: int, **more: Any) -> Artifact:
    """A re-test whose interval is 0.1 to both sides."""
    pairs = wins + ties + losses
    value = (wins + ties / 2) / pairs if pairs else None
    ends = (None, None) if value is None else (round(value - 0.1, 6), round(value + 0.1, 6))
    share = Share(value, *ends, *ends, pairs)
    row = DimensionResult(
        key="overall", title="Overall", wins=wins, ties=ties, losses=losses, invalid=1,
        undecided=2, missing=0, settled_further=3, ties_half=share, without_ties=share,
        p_value=0.04, votes={"win": 2 * wins},
        agreement=Agreement(2 * pairs, pairs, 0.625, 0.25, 0.2, 0.3, 0.4),
    )  # fmt: skip
    told = HumanTest(
        base="base", candidate=candidate, campaign=1, campaign_name=f"Re-test of {candidate}",
        dimension_set="videoalign", votes_wanted=2, extra_votes=1, pairs_asked=pairs,
        pairs_complete=pairs, pairs_identical=0, pairs_withdrawn=0, pairs_adjudicated=0,
        prompts=20, votes_counted=2 * pairs, votes_surplus=0, votes_excluded=4, votes_missing=0,
        people=5, simulated=False, counted_early="", dimensions=(row,), notes=("A note.",), **more,
    )  # fmt: skip
    return left_by(
        "human_test", f"Count of {candidate}", "human_test", told.write, "human_test.json"
    )


def vbench(name: str, *, whole: bool) -> Artifact:
    keys = T2V.names if whole else T2V.custom()
    result = VBenchResult("t2v", {key: Value(0.5, "imported") for key in keys}, {"proxy:sharp": 3})
    return left_by("vbench_import", f"VBench of {name}", "vbench", result.write, "vbench.json")


def report(user: Any, inputs: Mapping[str, Artifact]) -> Artifact:
    run = play(start_run("report", {"title": "Made"}, inputs, user=user))
    return run.artifacts.get()


def compared_with(found: Artifact, clips: Artifact) -> None:
    """Say which clips of the base an evaluation was against."""
    RunInput.objects.create(run=found.run, role="base", artifact=clips)
