"""A human re-test from two sets of clips to its result; people vote as they do at the page."""

from typing import Any

import pytest
from django.test import Client

from annotation.models import AuditEntry, Campaign, CampaignKind, CampaignState, Triplet
from pipelines import lifecycle
from pipelines.human_result import HumanTest
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.waiting import waiting_for
from tests.pipelines.loop_world import play
from tests.pipelines.retest_world import always, opened, people, shas, vote

pytestmark = pytest.mark.django_db


def counted(group: Any) -> HumanTest:
    run = play(group.runs.get(kind="human_test"))
    return HumanTest.read(path_of(Artifact.objects.get(run=run)))


def test_votes_become_a_result_when_the_last_one_is_there(mia: Any) -> None:
    group, campaign, clips = opened(mia)
    count = group.runs.get(kind="human_test")
    assert waiting_for(count) == (
        f"waits for people: 8 votes are missing in 'Side by side {group.pk}',"
        " 0 of 4 pairs are complete"
    )
    first, second = people(2)
    for person in (first, second):
        assert not lifecycle.claimable(["default"]).exists()
        assert vote(person, campaign, shas(clips), always("win")) == 4
    result = counted(group)
    overall = result.of("overall")
    assert overall is not None
    assert (overall.wins, overall.ties, overall.losses) == (4, 0, 0)
    assert (result.votes_counted, result.people, result.votes_missing) == (8, 2, 0)
    assert result.counted_early == ""
    campaign.refresh_from_db()
    assert campaign.state == CampaignState.CLOSED


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_page_says_what_is_missing_and_then_what_people_said(mia: Any, lee: Any) -> None:
    group, campaign, clips = opened(mia)
    page = _as(lee).get(f"/retests/{group.pk}/").content.decode()
    assert "0 <small>of 8 votes, 8 missing" in page
    assert f'hx-get="/retests/{group.pk}/state"' in page
    for person in people(2):
        vote(person, campaign, shas(clips), always("tie"))
    play(group.runs.get(kind="human_test"))
    page = _as(lee).get(f"/retests/{group.pk}/").content.decode()
    assert "new-model-7B against old-model-1B: what people say" in page
    assert "0 / 4 / 0" in page
    assert "Count now" not in page
    artifact = Artifact.objects.get(kind="human_test")
    told = _as(lee).get(f"/artifacts/{artifact.pk}/human_test.json").json()
    assert told["schema"] == "human_test/1"
    assert "what people say" in _as(lee).get(f"/artifacts/{artifact.pk}/").content.decode()


def test_somebody_may_count_before_all_votes_are_there_and_it_is_said(mia: Any, lee: Any) -> None:
    group, campaign, clips = opened(mia)
    person = next(iter(people(1)))
    assert vote(person, campaign, shas(clips), always("loss"), most=3) == 3
    assert _as(lee).post(f"/retests/{group.pk}/count").status_code == 302
    result = counted(group)
    overall = result.of("overall")
    assert overall is not None
    assert (overall.losses, overall.missing) == (3, 1)
    assert result.counted_early == "asked for by lee"
    assert (result.votes_missing, result.votes_counted) == (5, 3)
    told = " ".join(result.notes)
    assert "Counted before all votes were there (asked for by lee; 5 were missing)" in told
    assert "All votes are those of one person" in told
    assert "3 pairs rest on a single vote" in told
    said = AuditEntry.objects.filter(act="retest.count").get()
    assert said.target == f"retest {group.pk}"
    page = _as(lee).post(f"/retests/{group.pk}/count", follow=True).content.decode()
    assert "does not wait for votes" in page
