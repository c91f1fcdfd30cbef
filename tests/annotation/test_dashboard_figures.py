"""What leads see is computed from the votes, and agrees with arithmetic by hand."""

import pytest

from annotation.dashboards import (
    agreement_panel,
    annotators_panel,
    label_shares,
    progress_panel,
)
from annotation.models import Campaign, Consensus, Lease
from annotation.posteriors import refresh_posteriors


@pytest.fixture
def voted(make_campaign, people, annotator, side_of):
    """Four triplets, three annotators; the third always answers left."""
    campaign = make_campaign(4, votes_wanted=3)
    first, second, lefty = (annotator(user) for user in people(3))
    for browser, labels in ((first, ["A", "A", "tie"]), (second, ["A", "B", "tie"])):
        for _ in range(4):
            given = browser.next(campaign)
            browser.vote(given, [side_of(given, label) for label in labels])
    for _ in range(4):
        given = lefty.next(campaign)
        lefty.vote(given, ["left", "left", "invalid"])
    campaign.refresh_from_db()
    return campaign


def test_progress_counts_votes_and_triplets(voted):
    panel = progress_panel(voted)
    assert (panel.done, panel.total, panel.share) == (4, 4, 1.0)
    assert (panel.counted, panel.surplus, panel.annotators, panel.skips) == (12, 0, 3, 0)
    assert panel.votes_last_day == 12


def test_agreement_is_undefined_where_nothing_varies(voted):
    panel = agreement_panel(voted)
    by_key = {each.key: each for each in panel.dimensions}
    assert (panel.votes, panel.annotators) == (12, 3)
    # TA: two say tie, the third says invalid, which is no opinion: no variation among opinions.
    assert by_key["TA"].alpha_nominal is None
    assert by_key["TA"].raw == 1.0
    # VQ: the two honest ones agree on A; the third says left, which is A on half of the pairs.
    wrong = Consensus.objects.filter(dimension__key="VQ").count() - _left_is_a(voted)
    # A unit of (A, A, B) has 1 equal pair of 3.
    assert by_key["VQ"].raw == pytest.approx(1 - wrong / 4 * 2 / 3)
    assert by_key["VQ"].units == 4


def _left_is_a(campaign) -> int:
    from annotation.models import Judgement

    lefts = Judgement.objects.filter(vote__annotator__username="annotator 2", dimension__key="VQ")
    return lefts.filter(label="A").count()


def test_the_annotators_panel_shows_who_always_says_left(voted):
    rows = {row.name: row for row in annotators_panel(voted)}
    lefty, first = rows["annotator 2"], rows["annotator 0"]
    assert lefty.left_share == 1.0
    # Eight answers, all left: two-sided binomial p = 2 / 2^8.
    assert lefty.left_p == pytest.approx(2 / 256)
    assert (lefty.votes, lefty.tie_share, lefty.median_seconds) == (4, 0.0, 4.0)
    assert first.with_consensus > lefty.with_consensus
    assert first.tie_share == pytest.approx(1 / 3)


def test_label_shares_add_up(voted):
    by_key = {each.key: each for each in label_shares(voted)}
    assert by_key["TA"].shares == {"A": 0, "B": 0, "tie": pytest.approx(2 / 3), "invalid": 1 / 3}
    assert by_key["TA"].consensus["tie"] == 1.0
    for each in by_key.values():
        assert sum(each.shares.values()) == pytest.approx(1)
        assert sum(each.consensus.values()) == pytest.approx(1)


def test_an_empty_campaign_has_empty_panels(make_campaign):
    campaign = make_campaign(1)
    assert progress_panel(campaign).share == 0
    assert annotators_panel(campaign) == ()
    assert [each.alpha_nominal for each in agreement_panel(campaign).dimensions] == [None] * 3
    assert [each.judgements for each in label_shares(campaign)] == [0, 0, 0]
    assert refresh_posteriors(campaign) == 0


def test_the_number_of_queries_does_not_grow(voted, django_assert_max_num_queries):
    for panel, queries in (
        (progress_panel, 2),
        (agreement_panel, 2),
        (label_shares, 3),
        (annotators_panel, 5),
    ):
        with django_assert_max_num_queries(queries):
            panel(voted)


def test_posteriors_are_recomputed_for_settled_dimensions(voted):
    before = {row.pk: row.posterior for row in Consensus.objects.all()}
    assert refresh_posteriors(voted) == 12
    after = {row.pk: row for row in Consensus.objects.all()}
    assert any(after[pk].posterior != before[pk] for pk in before)
    for row in after.values():
        assert sum(row.posterior) == pytest.approx(1, abs=1e-5)
        if row.dimension.key == "VQ":
            assert row.posterior[0] > 0.9  # P(A): both that are consistent say so
        if row.dimension.key == "TA":
            assert row.posterior[1] > 0.99  # P(tie)


def test_the_figures_are_for_leads_and_ml_engineers(voted, alice, lee, mia, annotator):
    for name in ("progress", "agreement"):
        path = f"/api/campaigns/{voted.pk}/{name}"
        assert annotator(alice).get(path).status_code == 403
        for user in (lee, mia):
            answer = annotator(user).get(path)
            assert answer.status_code == 200
            assert answer.json()["campaign"] == voted.pk
        assert annotator(lee).get(f"/api/campaigns/999999/{name}").status_code == 404


def test_the_annotators_panel_applies_the_rule_on_carelessness(make_campaign, people, lee, client):
    """Four people vote on 24 triplets; the last one throws a die."""
    import random
    import uuid

    from annotation.assigning import claim
    from annotation.models import Dimension
    from annotation.voting import Answer, Ballot, cast_vote

    campaign = make_campaign(24, votes_wanted=4)
    Campaign.objects.filter(pk=campaign.pk).update(repeat_share=0)  # pairs of the queue alone
    keys = list(
        Dimension.objects.filter(dimension_set=campaign.dimension_set).values_list("key", flat=True)
    )
    chance = random.Random(5)
    for user in people(4):
        for _ in range(24):
            lease = Lease.objects.get(pk=claim(campaign, user, uuid.uuid4()).token)
            honest = "right" if lease.swap else "left"
            careless = user.username == "annotator 3"
            words = [chance.choice(["left", "right", "tie"]) if careless else honest for _ in keys]
            answers = {key: Answer(word) for key, word in zip(keys, words, strict=True)}
            cast_vote(lease.token, user, Ballot(str(lease.left_id), str(lease.right_id), answers))
    found = {row.name: (row.careless, row.random_share) for row in annotators_panel(campaign)}
    assert [careless for careless, _ in found.values()].count(True) == 1
    assert found["annotator 3"][0] is True
    # A die agrees with people who always say A like the die that the rule assumes.
    assert found["annotator 3"][1] == pytest.approx(1, abs=0.3)
    assert found["annotator 0"][1] == pytest.approx(0, abs=0.1)
    client.force_login(lee)
    page = client.get(f"/campaigns/{campaign.pk}/").content.decode()
    assert page.count(">careless</span>") == 1
