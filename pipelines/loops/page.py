"""The runs of a loop, in the order in which a person tells the story."""

from dataclasses import dataclass
from typing import Final

from annotation.permissions import Person
from pipelines.models import LoopGroup, Run, RunInput
from pipelines.registry import source_of
from pipelines.run_cards import RunCard, cards


@dataclass(frozen=True, slots=True)
class LoopStep:
    """One step of the loop with its runs."""

    title: str
    what: str
    cards: list[RunCard]


_VOTES: Final = ("Votes", "simulated annotators vote through the same door as people")
_BASES: Final = ("Base models", "pretrained once, then used by every loop")
_SNAPSHOT: Final = ("Snapshot", "the consensus, split by prompt, never changed again")
_REWARD: Final = ("Reward model", "learns what people prefer, ties included")
_PAIRS: Final = ("Preference pairs", "clips of training prompts, scored: best against worst")
_ALIGNMENT: Final = ("Alignment", "the generator learns from the pairs")
_TEST: Final = ("Test clips", "base and candidates on held-out prompts, same seeds, judged")
_VERDICT: Final = ("Evaluation and report", "win rates with their intervals")

_BY_KIND: Final = {
    "votes": _VOTES,
    "pretrain": _BASES,
    "snapshot": _SNAPSHOT,
    "reward_model": _REWARD,
    "pairing": _PAIRS,
    "alignment": _ALIGNMENT,
    "truth": _TEST,
    "evaluation": _VERDICT,
    "report": _VERDICT,
}
_ORDER: Final = (_BASES, _VOTES, _SNAPSHOT, _REWARD, _PAIRS, _ALIGNMENT, _TEST, _VERDICT)


def steps_of(group: LoopGroup, user: Person) -> list[LoopStep]:
    """The steps of a loop. Clips and scores stand with the pairs, or with the test they serve.

    A base model that was pretrained for this loop, in a group of its own or in none, is shown too.
    """
    runs = list(group.runs.order_by("pk"))
    inputs = list(
        RunInput.objects.filter(run__in=runs).select_related("artifact", "base_model__artifact")
    )
    known = {run.pk for run in runs}
    bases = {source for row in inputs if (source := source_of(row))} - known
    runs = [*Run.objects.filter(pk__in=bases, kind="pretrain").order_by("pk"), *runs]
    for_pairs = _upstream({run.pk for run in runs if run.kind == "pairing"}, inputs)
    by_step: dict[tuple[str, str], list[RunCard]] = {step: [] for step in _ORDER}
    for run, card in zip(runs, cards(runs, user), strict=True):
        by_step[_BY_KIND.get(run.kind, _PAIRS if run.pk in for_pairs else _TEST)].append(card)
    return [LoopStep(title, what, found) for (title, what), found in by_step.items() if found]


def _upstream(run_ids: set[int], inputs: list[RunInput]) -> set[int]:
    """The runs that these stand on, within what was read."""
    seen: set[int] = set()
    frontier = run_ids
    while frontier:
        seen |= frontier
        frontier = {
            source for row in inputs if row.run_id in frontier and (source := source_of(row))
        } - seen
    return seen
