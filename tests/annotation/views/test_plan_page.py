"""The page on which a lead plans pairs, orders the open ones and ties annotators together."""

import pytest
from django.test import Client

from annotation.models import Campaign, Generator, Slot

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(lee):
    browser = Client()
    browser.force_login(lee)
    return browser


@pytest.fixture
def campaign(make_campaign):
    """Two clips each of six prompts, of two generators; none is asked about."""
    made = make_campaign(6)
    other = Generator.objects.create(name="other")
    for triplet in made.triplets.all():
        triplet.video_b.generator = other
        triplet.video_b.save()
    made.pool.set(
        {clip for triplet in made.triplets.all() for clip in (triplet.video_a, triplet.video_b)}
    )
    empty = Campaign.objects.create(name="empty", dimension_set=made.dimension_set)
    empty.pool.set(made.pool.all())
    return empty


def address(campaign, query=""):
    return f"/campaigns/{campaign.pk}/plan/{query}"


def test_a_plan_is_shown_before_anything_is_written(lead, campaign):
    page = lead.get(address(campaign, "?strategy=balanced&budget=4&seed=1"))
    assert page.context["plan"].pairs == 4
    assert page.context["generators"] == ["generator-secret-7B", "other"]
    assert "Ask about these 4 pairs" in page.content.decode()
    assert campaign.triplets.count() == 0


def test_what_was_shown_is_what_is_asked(lead, campaign):
    wish = {"strategy": "all", "budget": "5", "seed": "3"}
    shown = lead.get(address(campaign), wish).context["plan"]
    answer = lead.post(address(campaign), {**wish, "act": "create"}, follow=True)
    assert "5 pairs more to ask about" in answer.content.decode()
    assert campaign.triplets.count() == shown.pairs == 5
    rest = lead.get(address(campaign), {**wish, "budget": "100"}).context["plan"]
    assert rest.pairs == 1  # of six


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?strategy=best&budget=3", "something unknown"),
        ("?strategy=all&budget=0", "Ask for 1 to 20000 pairs"),
        ("?strategy=all&budget=many", "must be a whole number"),
        ("?strategy=all&budget=3&generator=nobody", "no clips that fit"),
    ],
)
def test_a_wish_that_cannot_be_is_said_on_the_page(lead, campaign, query, sentence):
    page = lead.get(address(campaign, query))
    assert page.status_code == 200
    assert sentence in page.content.decode()


def test_groups_that_share_too_little_are_named_and_tied_together(
    lead, make_campaign, people, annotator
):
    campaign = make_campaign(70, votes_wanted=1)
    for user in people(2):
        browser = annotator(user)
        for _ in range(32):
            browser.vote(browser.next(campaign))
    page = lead.get(address(campaign)).content.decode()
    assert "2 groups that share too little" in page
    slots = Slot.objects.filter(campaign=campaign).count()
    answer = lead.post(address(campaign), {"act": "bridge"}, follow=True).content.decode()
    assert "30 votes more are asked for" in answer
    assert Slot.objects.filter(campaign=campaign).count() == slots + 30
    again = lead.post(address(campaign), {"act": "bridge"}, follow=True).content.decode()
    assert "Nothing has to be asked" in again


def test_open_pairs_get_a_new_order(lead, make_campaign):
    campaign = make_campaign(4)
    answer = lead.post(address(campaign), {"act": "order", "first": "disagreement"}, follow=True)
    assert "0 open pairs have moved" in answer.content.decode()
    answer = lead.post(address(campaign), {"act": "order", "first": "mine"}, follow=True)
    assert "something unknown" in answer.content.decode()


@pytest.mark.parametrize("name", ["alice", "mia", "charlie"])
def test_only_leads_plan(request, name, campaign):
    browser = Client()
    browser.force_login(request.getfixturevalue(name))
    assert browser.get(address(campaign)).status_code == 403
    assert browser.post(address(campaign), {"act": "bridge"}).status_code == 403
