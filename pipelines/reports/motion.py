"""How much clips move where nothing measured it as they were made: from VBench runs of both sides.

Clips that came as files have no `motion`; the proxies that a VBench run takes of each clip hold the
same measure (`measuring/proxies.py`), so a report that has them need not do without.
"""

from collections.abc import Mapping
from typing import Any, Final

from formats.vbench_proxies import MOTION as PROXY
from formats.vbench_results import VBenchResult
from pipelines.changes import Change, change_of
from pipelines.contests import BASE
from pipelines.evaluation import MOTION

Key = tuple[str, int]  # prompt, seed
_FIGURES: Final = ("measures", "not_measured")


def with_motion(
    evaluation: Mapping[str, Any], results: Mapping[str, VBenchResult], *, seed: int = 0
) -> dict[str, Any]:
    """The evaluation with its motion amount, where it has none and both sides were measured."""
    before, after = results.get(BASE), results.get(evaluation["candidate"])
    measures, missing = (dict(evaluation.get(name, {})) for name in _FIGURES)
    if MOTION in measures or before is None or after is None:
        return dict(evaluation)
    change = _change(before, after, seed=seed)
    if change is None:
        return dict(evaluation)
    measures[MOTION] = change.to_json()
    missing.pop(MOTION, None)
    return {**evaluation, "measures": measures, "not_measured": missing}


def _change(before: VBenchResult, after: VBenchResult, *, seed: int) -> Change | None:
    base, candidate = _motion(before), _motion(after)
    shared = sorted(set(base) & set(candidate))
    if not shared:
        return None
    prompts = [prompt for prompt, _ in shared]
    sides = ([side[key] for key in shared] for side in (base, candidate))
    return change_of(prompts, *sides, seed=seed)


def _motion(result: VBenchResult) -> dict[Key, float]:
    return {
        (clip.prompt, clip.seed or 0): clip.values[PROXY]
        for clip in result.clips
        if PROXY in clip.values
    }
