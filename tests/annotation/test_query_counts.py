"""The doors that every vote goes through stay cheap: what a request asks the database is counted.

Counted is everything of a whole request, session, person and role included, but BEGIN and COMMIT.
What goes to PostgreSQL in one message is one; SQLite, which has no wire, runs its parts one by one.
"""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

ON_POSTGRES = connection.vendor == "postgresql"
# (claim, vote, vote that settles): the issue allows 8 and 10 and wants 4 and 6.
NEXT, VOTE, SETTLING = (4, 4, 4) if ON_POSTGRES else (6, 6, 10)


@pytest.fixture
def queries():
    class Counted(CaptureQueriesContext):
        @property
        def own(self) -> list[str]:
            statements = [query["sql"].split(None, 1) for query in self.captured_queries]
            kinds = {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}
            return [" ".join(each) for each in statements if each[0] in kinds]

        def assert_at_most(self, number: int) -> None:
            assert len(self.own) <= number, "\n".join(each[:200] for each in self.own)

    return lambda: Counted(connection)


@pytest.fixture
def warm(make_campaign, people, annotator):
    """A campaign of many pairs, and a browser that has voted before; no probe is ever due."""
    campaign = make_campaign(30, votes_wanted=1, gold_share=0, repeat_share=0)
    browser = annotator(people(1)[0])
    for _ in range(3):
        browser.vote(browser.next(campaign))
    return campaign, browser


def test_the_next_pair_takes_few_queries(warm, queries):
    campaign, browser = warm
    for ask in ({}, {"prefetch": True}, {"prefetch": True, "screen_width": 700}):
        with queries() as counted:
            assert browser.next(campaign, **ask)["lease"]
        counted.assert_at_most(NEXT)
    with queries() as counted:
        assert browser.next(campaign)["lease"]  # the first again
    counted.assert_at_most(4)
    with queries() as counted:
        assert browser.next(campaign, prefetch=True)["empty"]  # three are in hand
    counted.assert_at_most(2)


def test_looking_for_a_probe_that_is_due_takes_one_query_more(
    make_campaign, people, annotator, queries
):
    campaign = make_campaign(8, votes_wanted=1, gold_share=0.5, repeat_share=0)  # due every time
    browser = annotator(people(1)[0])
    browser.vote(browser.next(campaign))
    with queries() as counted:
        assert browser.next(campaign)["lease"]  # there is no gold, so it is a pair
    assert sum('"annotation_probe"' in each for each in counted.own) == 1
    counted.assert_at_most(NEXT + 1)


def test_a_vote_takes_few_queries_and_settling_is_among_them(
    make_campaign, people, annotator, queries
):
    campaign = make_campaign(3, votes_wanted=2)
    first, second = (annotator(user) for user in people(2))
    for browser in (first, second):
        browser.vote(browser.next(campaign))
    given = first.next(campaign)
    with queries() as counted:
        assert first.vote(given).json()["state"] == "counted"
    counted.assert_at_most(VOTE)
    given = second.next(campaign)
    with queries() as counted:
        assert second.vote(given).json()["state"] == "counted"
    counted.assert_at_most(SETTLING)
    campaign.refresh_from_db()
    assert campaign.triplets_done == 2  # or the last one did not settle
    with queries() as counted:
        assert second.vote(given).json()["replay"] is True
    counted.assert_at_most(4)


def test_asking_one_more_person_costs_no_more_than_settling(
    make_campaign, people, annotator, queries
):
    campaign = make_campaign(1, votes_wanted=2, extra_votes=1)
    first, second = (annotator(user) for user in people(2))
    first.vote(first.next(campaign))
    given = second.next(campaign)
    with queries() as counted:
        assert second.vote(given, "tie").json()["state"] == "counted"
    counted.assert_at_most(SETTLING)
    assert campaign.triplets.get().need == 3


def test_the_number_of_pairs_does_not_change_the_number_of_queries(
    make_campaign, people, annotator, queries
):
    numbers = set()
    for pairs in (2, 60):
        browser = annotator(people(1)[0])
        # Whether a probe is due hangs on chance, and looking for one is one query more.
        campaign = make_campaign(pairs, gold_share=0, repeat_share=0)
        browser.next(campaign)
        with queries() as counted:
            browser.next(campaign, prefetch=True)
        numbers.add(len(counted.own))
    assert len(numbers) == 1


@pytest.mark.parametrize("path", ["/api/campaigns", "/api/votes/mine?campaign={}"])
def test_lists_do_not_grow_with_their_rows(warm, queries, path):
    campaign, browser = warm
    numbers = []
    for _ in range(2):
        with queries() as counted:
            browser.get(path.format(campaign.pk))
        numbers.append(len(counted.own))
        for _ in range(3):
            browser.vote(browser.next(campaign))
    assert numbers[0] == numbers[1] <= 8
