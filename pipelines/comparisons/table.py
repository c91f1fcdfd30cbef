"""The table of a comparison: settings, training, judges, motion and time, side by side.

A win rate is marked best where its 95 % interval lies wholly above that of every other member.
Loss is shown and never marked: between methods it means different things.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Final

from pipelines.changes import Change
from pipelines.comparisons.figures import (
    Judged,
    dimensions_in_order,
    judged_alike,
    training_figures,
)
from pipelines.comparisons.members import Member, Rate, Table, with_winners
from pipelines.comparisons.settings import differences, refuse_different_inputs
from pipelines.evaluation import OVERALL
from pipelines.models import Run
from pipelines.reports.evidence import TRUTH

MOTION: Final = "motion"  # as sampling calls what it measures


def table_of(runs: Sequence[Run]) -> Table:
    """The table of these alignment runs, in their order; NotComparable where inputs differ."""
    refuse_different_inputs(runs)
    differing = differences({run.pk: run.config for run in runs})
    training = training_figures(runs)
    judged, note = judged_alike(runs)
    members = [
        _member(run, differing[run.pk], training.get(run.pk, {}), judged.get(run.pk))
        for run in runs
    ]
    trained_on = _training_rewards(judged.values())
    judges = _judges(members, trained_on, dimensions_in_order(judged.values()))
    return Table(with_winners(members, judges), judges, trained_on, note)


def _member(
    run: Run, differs: Mapping[str, str], training: Mapping[str, float], judged: Judged | None
) -> Member:
    body = {} if judged is None else judged.body
    return Member(
        run=run,
        name=run.name or f"run {run.pk}",
        differs=differs,
        training=training,
        rates={each["judge"]: _rates(each["dimensions"]) for each in body.get("judges", ())},
        motion=Change(**moved) if (moved := body.get("measures", {}).get(MOTION)) else None,
        alarms=tuple(run.summary.get("alarms", ())),
        took=run.finished_at - run.started_at if run.finished_at and run.started_at else None,
        evaluation=None if judged is None else judged.run,
    )


def _rates(dimensions: Mapping[str, Mapping[str, Any]]) -> dict[str, Rate]:
    return {key: Rate(row["rate"], row["low"], row["high"]) for key, row in dimensions.items()}


def _judges(
    members: Iterable[Member], trained_on: Set[str], order: Sequence[str]
) -> dict[str, list[str]]:
    """The judge furthest from training first; of its dimensions overall, which is the answer."""
    found: dict[str, set[str]] = defaultdict(set)
    for member in members:
        for judge, rates in member.rates.items():
            found[judge] |= set(rates)
    places = {key: place for place, key in enumerate([OVERALL, *order])}
    return {
        judge: sorted(found[judge], key=lambda key: (places.get(key, len(places)), key))
        for judge in sorted(found, key=lambda name: (name != TRUTH, name in trained_on, name))
    }


def _training_rewards(judged: Iterable[Judged]) -> frozenset[str]:
    """Judges that a member was trained on: what they say of it is worth less."""
    return frozenset(
        row["judge"]
        for each in judged
        for row in each.body.get("judges", ())
        if row["was_training_reward"]
    )
