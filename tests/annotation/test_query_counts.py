"""The doors that every vote goes through stay cheap: their queries are counted.

Session and user are two more, which Django asks for on every page; BEGIN and COMMIT do not count.
"""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

AUTHENTICATION = ("django_session", "auth_user")


@pytest.fixture
def queries():
    class Counted(CaptureQueriesContext):
        @property
        def own(self) -> list[str]:
            statements = [query["sql"] for query in self.captured_queries]
            return [
                each
                for each in statements
                if each.split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}
                and not any(f'FROM "{table}"' in each for table in AUTHENTICATION)
            ]

    return lambda: Counted(connection)


@pytest.fixture
def warm(make_campaign, people, annotator):
    """A campaign of many pairs, and a browser that has voted before."""
    campaign = make_campaign(30, votes_wanted=1)
    browser = annotator(people(1)[0])
    for _ in range(3):
        browser.vote(browser.next(campaign))
    return campaign, browser


def test_the_next_pair_takes_at_most_eight_queries(warm, queries):
    campaign, browser = warm
    with queries() as counted:
        browser.next(campaign)
    assert len(counted.own) <= 8, "\n".join(counted.own)
    with queries() as counted:
        browser.next(campaign, prefetch=True)
    assert len(counted.own) <= 8
    with queries() as counted:
        browser.next(campaign)  # the same again
    assert len(counted.own) <= 4


def test_a_vote_takes_at_most_ten_queries_and_settling_five_more(
    make_campaign, people, annotator, queries
):
    campaign = make_campaign(3, votes_wanted=2)
    first, second = (annotator(user) for user in people(2))
    for browser in (first, second):
        browser.vote(browser.next(campaign))
    given = first.next(campaign)
    with queries() as counted:
        assert first.vote(given).json()["state"] == "counted"
    assert len(counted.own) <= 10, "\n".join(counted.own)
    given = second.next(campaign)
    with queries() as counted:
        second.vote(given)
    assert len(counted.own) <= 15, "\n".join(counted.own)
    with queries() as counted:
        second.vote(given)  # the same again
    assert len(counted.own) <= 4


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
    assert numbers[0] == numbers[1] <= 7
