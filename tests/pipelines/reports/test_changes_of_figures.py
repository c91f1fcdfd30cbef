"""By how much figures change, beside how often they win: motion, which alignment tends to lose."""

import pytest

from formats.records import GenerationRecord, VideoRef
from formats.vbench_proxies import MOTION as PROXY
from formats.vbench_results import ClipValues, VBenchResult
from pipelines.changes import change_of, changes_of
from pipelines.evaluation import Judged, compare, measured
from pipelines.reports.candidates import measure_rows
from pipelines.reports.motion import with_motion
from pipelines.reports.text import change_words

pytestmark = pytest.mark.one_engine


def clip(prompt: str, seed: int, motion: float | None) -> GenerationRecord:
    video = VideoRef(f"{prompt}-{seed}", "clips/a.mp4", "0" * 64, 8.0, 9, "base", seed)
    measures = {} if motion is None else {"motion": motion}
    return GenerationRecord("p", prompt, "test", video, measures=measures)


def test_means_and_their_difference_are_plain_arithmetic() -> None:
    found = change_of(["p", "q"], [1.0, 3.0], [2.0, 6.0])
    assert (found.base, found.candidate, found.change) == (2.0, 4.0, 2.0)
    assert (found.prompts, found.clips) == (2, 2)
    # Two prompts, drawn with replacement: their means are 1, 2 and 3.
    assert (found.low, found.high) == (1.0, 3.0)


def test_clips_of_one_prompt_say_one_thing() -> None:
    found = change_of(["p"] * 4, [0.0] * 4, [1.0] * 4)
    assert (found.low, found.high) == (None, None)
    assert change_words(found.to_json()) == "+1.00"
    assert change_words({"change": -0.001, "low": -0.004, "high": 0.0}) == "+0.00 (+0.00 to +0.00)"


def test_a_figure_that_some_clips_lack_is_left_out() -> None:
    base = [{"motion": 1.0, "other": 2.0}, {"motion": 1.0}]
    assert list(changes_of(["p", "q"], base, base)) == ["motion"]
    assert changes_of([], [], []) == {}


def test_only_clips_that_both_made_are_measured() -> None:
    base = [clip("p", 0, 4.0), clip("q", 0, 8.0), clip("r", 0, None)]
    candidate = [clip("p", 0, 3.0), clip("q", 0, 5.0), clip("r", 0, 1.0), clip("s", 0, 1.0)]
    found = measured(base, candidate)["motion"]
    assert (found.base, found.candidate, found.clips) == (6.0, 4.0, 2)
    assert measured([clip("p", 0, None)], candidate) == {}


def test_a_comparison_says_how_far_scores_moved() -> None:
    base = Judged({("p", 0): {"motion": 1.0}, ("q", 0): {"motion": 2.0}}, 0)
    candidate = Judged({("p", 0): {"motion": 0.5}, ("q", 0): {"motion": 1.5}}, 0)
    found = compare(base, candidate).changes["motion"]
    assert (found.change, found.low, found.high) == (-0.5, -0.5, -0.5)


def test_a_winner_that_stands_stiller_is_told_as_such() -> None:
    still = change_of(["p", "q"], [57.3, 57.3], [43.3, 43.4]).to_json()
    (row,) = measure_rows({"motion": still})
    assert (row.name, row.change, row.falls) == (
        "motion amount", "-13.95 (-14.00 to -13.90)", True,
    )  # fmt: skip


def _measured(name: str, amounts: dict[tuple[str, int], float]) -> VBenchResult:
    clips = [
        ClipValues(f"{name}/{prompt}/{seed}", "p", prompt, seed, {PROXY: amount})
        for (prompt, seed), amount in amounts.items()
    ]
    return VBenchResult("t2v", {}, clips=clips)


def test_clips_that_came_as_files_get_their_motion_from_measurements_of_both_sides() -> None:
    evaluation = {
        "candidate": "x", "measures": {}, "not_measured": {"motion": "No.", "diversity": "No."},
    }  # fmt: skip
    base = _measured("base", {("p", 0): 4.0, ("q", 0): 8.0, ("r", 0): 99.0})
    results = {"base": base, "x": _measured("x", {("p", 0): 3.0, ("q", 0): 5.0})}
    found = with_motion(evaluation, results)
    assert (found["measures"]["motion"]["base"], found["measures"]["motion"]["candidate"]) == (6, 4)
    assert found["not_measured"] == {"diversity": "No."}
    # One side alone says nothing, and what was measured when clips were made stays.
    assert with_motion(evaluation, {"x": results["x"]}) == evaluation
    assert with_motion(evaluation, {"base": base, "x": _measured("x", {})}) == evaluation
    known = {**evaluation, "measures": {"motion": {"base": 1.0}}}
    assert with_motion(known, results) == known
