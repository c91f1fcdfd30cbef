"""The table of a comparison: settings, training, judges, motion and time, side by side.

A win rate is marked best where its 95 % interval lies wholly above that of every other member.
Loss is shown and never marked: between methods it means different things.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.comparison_figures import Judged, judged_alike, training_figures
from pipelines.comparison_members import Member, Motion, Rate, Table, with_winners
from pipelines.comparison_settings import differences, refuse_different_inputs
from pipelines.evaluation import OVERALL
from pipelines.models import Run


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
    judges = _judges(members)
    return Table(with_winners(members, judges), judges, _training_rewards(judged.values()), note)


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
        motion=_motion(body.get("motion")),
        alarms=tuple(run.summary.get("alarms", ())),
        took=run.finished_at - run.started_at if run.finished_at and run.started_at else None,
        evaluation=None if judged is None else judged.run,
    )


def _rates(dimensions: Mapping[str, Mapping[str, Any]]) -> dict[str, Rate]:
    return {key: Rate(row["rate"], row["low"], row["high"]) for key, row in dimensions.items()}


def _motion(said: Mapping[str, Any] | None) -> Motion | None:
    if not said:
        return None
    return Motion(*(said[key] for key in ("base", "candidate", "change", "low", "high")))


def _judges(members: Iterable[Member]) -> dict[str, list[str]]:
    """Every judge with its dimensions, overall first: it answers the question."""
    found: dict[str, list[str]] = {}
    for member in members:
        for judge, rates in member.rates.items():
            keys = found.setdefault(judge, [])
            keys += [key for key in rates if key not in keys]
    return {judge: sorted(keys, key=lambda key: key != OVERALL) for judge, keys in found.items()}


def _training_rewards(judged: Iterable[Judged]) -> frozenset[str]:
    """Judges that a member was trained on: what they say of it is worth less."""
    return frozenset(
        row["judge"]
        for each in judged
        for row in each.body.get("judges", ())
        if row["was_training_reward"]
    )
