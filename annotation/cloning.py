"""The same campaign once more: settings, guideline, questions with known answers, maybe the pairs.

Votes, people's standing and imported labels stay where they are.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from annotation.campaign_options import OPTIONS
from annotation.campaigns import create_campaign
from annotation.guidance import guidelines
from annotation.importing import Pair, create_triplets
from annotation.models import Campaign, CampaignKind, Probe, ProbeKind, TripletState
from annotation.quality import gold


def clone_campaign(
    campaign: Campaign, name: str, user: User, *, triplets: bool = False, **changes: Any
) -> Campaign:
    """Make a draft like this campaign; `changes` are options that differ, or its dimension set.

    Another dimension set asks other questions, so the guideline and the known answers, which speak
    of the old ones, stay behind.
    """
    options = {key: getattr(campaign, key) for key in OPTIONS}
    if campaign.kind == CampaignKind.RETEST:
        options["kind"] = CampaignKind.PAIRWISE  # a copy is no test: no run counts it
    dimension_set = changes.pop("dimension_set", campaign.dimension_set.name)
    same_questions = dimension_set == campaign.dimension_set.name
    with transaction.atomic():
        made = create_campaign(name, dimension_set, created_by=user, **{**options, **changes})
        made.members.set(campaign.members.all())
        made.pool.set(campaign.pool.all())
        same_form = (made.kind == CampaignKind.SINGLE) == (campaign.kind == CampaignKind.SINGLE)
        if same_questions and same_form:
            _copy_guideline(campaign, made, user)
            _copy_probes(campaign, made, user)
        if triplets:
            _copy_triplets(campaign, made)
    made.refresh_from_db()
    return made


def free_name(name: str) -> str:
    """A name for a copy that nobody has taken: "Faces (2)", "Faces (3)"."""
    number = 2
    while Campaign.objects.filter(name=f"{name[:190]} ({number})").exists():
        number += 1
    return f"{name[:190]} ({number})"


def _copy_guideline(campaign: Campaign, made: Campaign, user: User) -> None:
    newest = guidelines.newest(campaign)
    if newest.version:
        guidelines.publish(made, newest.body, major=True, user=user)


def _copy_probes(campaign: Campaign, made: Campaign, user: User) -> None:
    own = campaign.probes.filter(active=True, video_a__withdrawn=False)
    for probe in own.exclude(kind=ProbeKind.REPEAT).exclude(video_b__withdrawn=True):
        question = gold.Question(
            prompt=probe.prompt,
            video_a=probe.video_a,
            video_b=probe.video_b,
            expected=probe.expected,
            explanation=probe.explanation,
        )
        gold.make(made, probe.kind, question, user)


def _copy_triplets(campaign: Campaign, made: Campaign) -> None:
    """The pairs, in the order of their priority; what is a known question there is no pair."""
    by_priority: dict[int, list[Pair]] = defaultdict(list)
    known = set(Probe.objects.filter(campaign=made).values_list("video_a", "video_b"))
    for priority, pair in _pairs(campaign):
        clips = (pair[1].pk, pair[2].pk if pair[2] else None)
        if clips not in known and clips[::-1] not in known:
            by_priority[priority].append(pair)
    for priority, pairs in by_priority.items():
        create_triplets(made, pairs, priority=priority)


def _pairs(campaign: Campaign) -> Iterator[tuple[int, Pair]]:
    rows = campaign.triplets.exclude(state=TripletState.WITHDRAWN).order_by("pk")
    shown = rows.filter(video_a__withdrawn=False).exclude(video_b__withdrawn=True)
    for each in shown.select_related("prompt", "video_a", "video_b"):
        yield each.priority, (each.prompt, each.video_a, each.video_b)
