"""The page of one re-test: how far it is, what it waits for, and the result when it is there."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from annotation.models import Campaign
from annotation.retests import votes_missing
from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines import lifecycle
from pipelines.errors import WrongState
from pipelines.models import Artifact, GroupKind, LoopGroup, PeopleWait, Run
from pipelines.registry import path_of
from pipelines.retests import human_tests, people_waits
from pipelines.retests.result import HumanTest
from pipelines.retests.result_page import HumanView, view_of
from pipelines.run_cards import RunCard, cards


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the count waits for. `can_end`: whether it may be told to count now."""

    campaign: Campaign | None
    missing: int
    wanted: int
    can_end: bool

    @property
    def given(self) -> int:
        return self.wanted - self.missing


@dataclass(frozen=True, slots=True)
class RetestView:
    group: LoopGroup
    cards: list[RunCard]
    waiting: Waiting | None
    human: HumanView | None
    fault: str
    artifact: Artifact | None
    report: Artifact | None
    ended: bool


def retests() -> QuerySet[LoopGroup]:
    return LoopGroup.objects.filter(kind=GroupKind.RETEST).order_by("-pk")


def view(group: LoopGroup, user: User) -> RetestView:
    runs = list(group.runs.order_by("pk"))
    artifact = result_of(group)
    human, fault = _human(artifact, user)
    return RetestView(
        group=group,
        cards=cards(runs, user),
        waiting=waiting_of(group),
        human=human,
        fault=fault,
        artifact=artifact,
        report=_left(group, OutputKind.REPORT),
        ended=all(run.has_ended for run in runs),
    )


def result_of(group: LoopGroup) -> Artifact | None:
    return _left(group, OutputKind.HUMAN_TEST)


def _left(group: LoopGroup, kind: OutputKind) -> Artifact | None:
    return Artifact.objects.filter(run__group=group, kind=kind).order_by("-pk").first()


def _human(artifact: Artifact | None, user: User) -> tuple[HumanView | None, str]:
    if artifact is None:
        return None, ""
    try:
        return view_of(HumanTest.read(path_of(artifact)), user), ""
    except FormatError as error:
        return None, str(error)


def shown(artifact: Artifact, user: User) -> HumanView | None:
    """For the page of the artifact; None for any other kind and for a damaged file."""
    return _human(artifact, user)[0] if artifact.kind == OutputKind.HUMAN_TEST else None


def count_of(group: LoopGroup) -> Run | None:
    return group.runs.filter(kind=human_tests.KIND).order_by("pk").last()


def waiting_of(group: LoopGroup) -> Waiting | None:
    """None where no count is to come any more."""
    run = count_of(group)
    if run is None or run.has_ended:
        return None
    wait = PeopleWait.objects.filter(run=run).select_related("campaign").first()
    campaign = None if wait is None else wait.campaign
    if campaign is None:
        return Waiting(None, 0, 0, can_end=False)
    missing = votes_missing(campaign)
    can_end = lifecycle.people_waits().filter(run=run).exists()
    wanted = sum(campaign.triplets.exclude(state="withdrawn").values_list("need", flat=True))
    return Waiting(campaign, missing, wanted, can_end)


def count_now(group: LoopGroup, user: User) -> Run:
    """Count with the votes that are there; WrongState where nothing waits for them."""
    run = count_of(group)
    if run is None:
        raise WrongState(f"{group.name!r} has no run that counts votes")
    people_waits.enough(run, user)
    return run


def as_json(group: LoopGroup, user: User) -> dict[str, Any]:
    """For programs: the runs, what is waited for, the result."""
    found = view(group, user)
    waiting = found.waiting
    return {
        "id": group.pk,
        "name": group.name,
        "runs": [
            {"id": card.id, "kind": card.kind, "name": card.name, "state": card.state,
             "words": card.words}
            for card in found.cards
        ],
        "ended": found.ended,
        "campaign": None if waiting is None or waiting.campaign is None else waiting.campaign.pk,
        "votes_missing": None if waiting is None else waiting.missing,
        "votes_wanted": None if waiting is None else waiting.wanted,
        "result": None if found.human is None else found.human.result.to_json(),
        "artifact": None if found.artifact is None else found.artifact.pk,
        "report": None if found.report is None else found.report.pk,
    }  # fmt: skip
