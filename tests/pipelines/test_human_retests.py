"""A human re-test from two sets of clips to its result; people vote as they do at the page."""

from typing import Any

import pytest

from annotation.models import CampaignState
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
