"""Practice, then a qualification with two attempts, then work (ANNOTATION D8).

The stage stands on the cursor and moves by one conditional UPDATE. A campaign that has fewer
questions than wanted asks those that it has; one that has none says so to the annotator.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from annotation.cursors import move_stage
from annotation.models import (
    Campaign,
    Cursor,
    Probe,
    ProbeAnswer,
    ProbeKind,
    ProbeLease,
    ProbeLeaseState,
    Stage,
)
from annotation.offers import Empty, StageProgress
from annotation.quality.marking import right_by_dimension

PRACTICE_QUESTIONS: Final = 10
QUALIFICATION_QUESTIONS: Final = 20
ATTEMPTS: Final = 2

STAGES: Final = frozenset({Stage.PRACTICE, Stage.QUALIFICATION})
_WANTED: Final[dict[str, int]] = {
    Stage.PRACTICE: PRACTICE_QUESTIONS,
    Stage.QUALIFICATION: QUALIFICATION_QUESTIONS,
}
_DONE: Final = (ProbeLeaseState.ANSWERED, ProbeLeaseState.SKIPPED)


@dataclass(frozen=True, slots=True)
class StageQuestion:
    probe: Probe
    attempt: int
    progress: StageProgress


def keep_in_step(campaign: Campaign, cursor: Cursor, now: datetime) -> None:
    """Begin where a qualification is asked for; go to work where it is not any more.

    Who has worked here before it was asked for goes on working.
    """
    fresh = cursor.stage == Stage.WORKING and cursor.attempt == 0 and cursor.questions == 0
    if campaign.qualify and fresh:
        move_stage(cursor, Stage.PRACTICE, now, reason="", attempt=1)
    elif not campaign.qualify and cursor.stage in STAGES:
        move_stage(cursor, Stage.WORKING, now, reason="", attempt=cursor.attempt)


def next_question(
    campaign: Campaign, cursor: Cursor, now: datetime
) -> StageQuestion | Empty | None:
    """What to ask in practice or qualification; None: both are behind, work begins."""
    if cursor.stage == Stage.PRACTICE:
        found = _question(campaign, cursor, attempt=0)
        if found is not None:
            return found
        move_stage(cursor, Stage.QUALIFICATION, now, reason="", attempt=cursor.attempt)
    found = _question(campaign, cursor, attempt=cursor.attempt)
    if found is not None:
        return found
    if not _answers(cursor, cursor.attempt).exists():
        lacking = _("The qualification of this campaign has no questions yet; ask its lead.")
        return Empty(lacking, 60)
    # The last questions of this attempt were withdrawn while it went on.
    note = _decide(campaign, cursor, now)
    return None if cursor.stage == Stage.WORKING else Empty(note, 1)


def progress(campaign: Campaign, cursor: Cursor, attempt: int) -> StageProgress | None:
    found = _question(campaign, cursor, attempt=attempt)
    return found.progress if found is not None else None


def after_answer(campaign: Campaign, cursor: Cursor, lease: ProbeLease, now: datetime) -> str:
    """Move the stage on if that was its last question; what to tell the annotator, or nothing."""
    if lease.probe.kind != cursor.stage:
        return ""
    if cursor.stage == Stage.PRACTICE:
        if _question(campaign, cursor, attempt=0) is not None:
            return ""
        move_stage(cursor, Stage.QUALIFICATION, now, reason="", attempt=cursor.attempt)
        return _("Practice is over; the qualification begins.")
    if lease.attempt != cursor.attempt or _question(campaign, cursor, attempt=lease.attempt):
        return ""
    return _decide(campaign, cursor, now)


def results(cursor: Cursor, attempt: int) -> dict[str, float]:
    """Weighted share of right answers by dimension in one attempt."""
    return right_by_dimension([answer.by_dimension for answer in _answers(cursor, attempt)])


def _decide(campaign: Campaign, cursor: Cursor, now: datetime) -> str:
    answers = list(_answers(cursor, cursor.attempt))
    right = 1 - sum(answer.errors for answer in answers) / len(answers)
    shares = right_by_dimension([answer.by_dimension for answer in answers])
    told = {
        "right": f"{right:.0%}",
        "wanted": f"{campaign.pass_share:.0%}",
        "each": ", ".join(f"{key} {share:.0%}" for key, share in shares.items()),
    }
    if right >= campaign.pass_share:
        note = _("Qualification passed: %(right)s right (%(each)s). Work begins.") % told
        move_stage(cursor, Stage.WORKING, now, reason=note, attempt=cursor.attempt)
    elif cursor.attempt < ATTEMPTS:
        note = _("%(right)s right (%(each)s); %(wanted)s passes. One more attempt follows.") % told
        move_stage(cursor, Stage.QUALIFICATION, now, reason=note, attempt=cursor.attempt + 1)
    else:
        note = _("Qualification not passed: %(right)s right (%(each)s); %(wanted)s passes.") % told
        move_stage(cursor, Stage.FAILED, now, reason=note, attempt=cursor.attempt)
    return note


def _answers(cursor: Cursor, attempt: int) -> QuerySet[ProbeAnswer]:
    return ProbeAnswer.objects.filter(
        campaign_id=cursor.campaign_id,
        annotator_id=cursor.annotator_id,
        kind=ProbeKind.QUALIFICATION,
        lease__attempt=attempt,
        superseded=False,
    )


def _question(campaign: Campaign, cursor: Cursor, *, attempt: int) -> StageQuestion | None:
    """The next one of this stage; those never seen before first. None: all were asked."""
    kind, wanted = cursor.stage, _WANTED[cursor.stage]
    own = ProbeLease.objects.filter(annotator_id=cursor.annotator_id, campaign=campaign)
    done = own.filter(probe__kind=kind, attempt=attempt, state__in=_DONE).count()
    of_probe = own.filter(probe=OuterRef("pk"), state__in=_DONE)
    left = list(
        Probe.objects.filter(campaign=campaign, kind=kind, active=True)
        .filter(~Exists(of_probe.filter(attempt=attempt)))
        .annotate(seen=Exists(of_probe))
        .select_related("prompt__image", "video_a", "video_b")
        .order_by("seen", "shuffle")[: max(wanted - done, 0)]
    )
    if not left:
        return None
    return StageQuestion(left[0], attempt, StageProgress(done, done + len(left)))
