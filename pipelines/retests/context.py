"""What the site knows of a count beside the votes: who is left out, what came early or before."""

from collections.abc import Iterable, Sequence

from django.contrib.auth.models import User

from annotation import retests
from annotation.models import Campaign
from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines.models import Artifact, PeopleWait, Run
from pipelines.retests import voters as human_voters


def excluded(
    campaign: Campaign,
    votes: Sequence[retests.CastVote],
    named: Iterable[str],
    *,
    careless: bool,
) -> dict[int, str]:
    """Whose votes do not count, and why. FormatError for a name that has not voted."""
    people = {vote.annotator for vote in votes}
    found = human_voters.careless(votes) if careless else {}
    found |= {pk: why for pk, why in retests.stopped(campaign).items() if pk in people}
    known = dict(User.objects.filter(pk__in=people).values_list("username", "pk"))
    for name in named:
        if name not in known:
            raise FormatError(f"nobody called {name!r} has voted in {campaign.name!r}")
        found[known[name]] = "who asked for the count has left them out"
    return found


def early(campaign: Campaign, run_id: int) -> str:
    """How it comes that not all votes were there; empty where they were."""
    if campaign.triplets_done >= campaign.triplets_total:
        return ""
    wait = PeopleWait.objects.filter(run=run_id).select_related("enough_by").first()
    if wait is not None and wait.enough_at is not None:
        who = wait.enough_by.get_username() if wait.enough_by else "somebody"
        return f"asked for by {who}"
    return "the campaign had been closed"


def counted_before(campaign: Campaign, run_id: int) -> int:
    """How often the votes of this campaign have been counted by other runs."""
    earlier = Artifact.objects.filter(kind=OutputKind.HUMAN_TEST, meta__campaign=campaign.pk)
    return earlier.exclude(run=run_id).count()


def simulated(campaign: Campaign) -> set[int]:
    """People of the demo that a run of kind `votes` has let vote here."""
    names = {
        row["user"]
        for named in (campaign.name, campaign.pk)
        for config in Run.objects.filter(kind="votes", config__campaign=named).values_list(
            "config", flat=True
        )
        for row in config["annotators"]
    }
    return set(User.objects.filter(username__in=names).values_list("pk", flat=True))
