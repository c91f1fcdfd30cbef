"""What leads see is computed from the votes, and agrees with arithmetic by hand."""

import random
import uuid
from dataclasses import asdict, is_dataclass

import pytest

from annotation.dashboards import PANELS
from annotation.models import Consensus, Judgement, Vote
from annotation.opinions import VALUES, opinions_of
from annotation.shorthand import said
from annotation.statistics.posteriors import refresh_posteriors


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


def test_each_vote_carries_its_judgements_in_shorthand(voted):
    for vote in Vote.objects.all():
        assert vote.said == said(Judgement.objects.filter(vote=vote))
        assert len(vote.said) == 3
    first = Vote.objects.filter(annotator__username="annotator 0")
    assert {vote.said for vote in first} == {"AAT"}
    lefty = Vote.objects.filter(annotator__username="annotator 2")
    assert {vote.said[2] for vote in lefty} == {"x"}  # invalid, because a clip is broken


def test_what_statistics_read_are_the_judgements(voted):
    found = opinions_of(voted)
    read = zip(
        *(getattr(found, name).tolist() for name in ("triplet", "annotator", "dimension", "swap")),
        [VALUES[value].value for value in found.value],
        strict=True,
    )
    rows = Judgement.objects.values_list(
        "vote__triplet_id", "vote__annotator_id", "dimension_id", "vote__swap", "label"
    )
    assert sorted(read) == sorted((*row[:3], int(row[3]), row[4]) for row in rows)
    assert len(found) == 36


def test_progress_counts_votes_and_triplets(voted):
    panel = PANELS["progress"](voted)
    assert (panel.done, panel.total, panel.share) == (4, 4, 1.0)
    assert (panel.counted, panel.surplus, panel.annotators, panel.skips) == (12, 0, 3, 0)
    assert panel.votes_last_day == 12
    assert (panel.pairs.complete, panel.pairs.partly, panel.pairs.untouched) == (4, 0, 0)
    assert (panel.people.joined, panel.people.voting, panel.people.active) == (3, 3, 3)
    assert (panel.people.consented, panel.people.qualified) == (None, None)  # nobody asks for it
    assert panel.finish is None  # nothing is left


def test_the_time_to_finish_is_what_is_left_over_the_pace(make_campaign, people, annotator):
    campaign = make_campaign(6, votes_wanted=2)
    sits = annotator(people(1)[0])
    for _ in range(4):
        sits.vote(sits.next(campaign))
    panel = PANELS["progress"](campaign)
    assert (panel.pairs.partly, panel.pairs.untouched) == (4, 2)
    # Twelve wanted, four given, all of them within the first hour: 4 votes an hour, 96 a day.
    assert panel.finish.votes_left == 8
    assert panel.finish.votes_per_day == 96
    assert panel.finish.days == pytest.approx(8 / 96)
    assert panel.finish.days_low <= panel.finish.days <= panel.finish.days_high


def test_agreement_is_undefined_where_nothing_varies(voted):
    panel = PANELS["agreement"](voted)
    by_key = {each.key: each for each in panel.dimensions}
    assert (panel.votes, panel.annotators, panel.prompts) == (12, 3, 4)
    # TA: two say tie, the third says invalid, which is no opinion: no variation among opinions.
    assert by_key["TA"].alpha_nominal.value is None
    assert by_key["TA"].undefined == "variation"
    assert by_key["TA"].raw.value == 1.0
    # VQ: the two honest ones agree on A; the third says left, which is A on half of the pairs.
    wrong = Consensus.objects.filter(dimension__key="VQ").count() - _left_is_a()
    # A unit of (A, A, B) has 1 equal pair of 3.
    assert by_key["VQ"].raw.value == pytest.approx(1 - wrong / 4 * 2 / 3)
    assert by_key["VQ"].units == 4


def _left_is_a() -> int:
    lefts = Judgement.objects.filter(vote__annotator__username="annotator 2", dimension__key="VQ")
    return lefts.filter(label="A").count()


def test_the_annotators_panel_shows_how_each_votes(voted):
    rows = {row.name: row for row in PANELS["annotators"](voted).people}
    lefty, first = rows["annotator 2"], rows["annotator 0"]
    assert (lefty.votes, lefty.tie_share, lefty.median_seconds) == (4, 0.0, 4.0)
    assert lefty.invalid_share == pytest.approx(1 / 3)
    assert first.tie_share == pytest.approx(1 / 3)
    assert first.with_others > lefty.with_others


def test_who_always_says_left_is_found(make_campaign, people, annotator, side_of):
    campaign = make_campaign(8, votes_wanted=3)
    first, second, lefty = (annotator(user) for user in people(3))
    for browser, labels in ((first, ["A", "A", "tie"]), (second, ["A", "B", "tie"]), (lefty, None)):
        for _ in range(8):
            given = browser.next(campaign)
            words = [side_of(given, each) for each in labels] if labels else "left"
            browser.vote(given, words)
    panel = PANELS["sides"](campaign)
    rows = {row.name: row for row in panel.people}
    row = rows["annotator 2"]
    # Eight votes, all left: two-sided binomial p = 2 / 2^8; the smaller of two, times 2. Whose
    # answers cancel out has voted for no side.
    assert (row.left, row.decided, row.share) == (8, 8, 1.0)
    assert row.p == pytest.approx(2 / 256)
    assert row.adjusted_p == pytest.approx(4 / 256)
    assert (row.leans, panel.leaning) == ("left", 1)
    assert "annotator 1" not in rows
    assert panel.overall.decided == 8 + 8
    assert {each.name: each.decided for each in panel.dimensions} == {"VQ": 24, "MQ": 24, "TA": 8}
    # Every clip is of one generator: no strength explains anything, so there is nothing to check.
    assert panel.checks == ()


def test_label_shares_add_up(voted):
    by_key = {each.key: each for each in PANELS["labels"](voted).dimensions}
    ta = by_key["TA"]
    assert ta.shares == {"A": 0, "B": 0, "tie": pytest.approx(2 / 3), "invalid": 1 / 3}
    assert (ta.ties.value, ta.invalid.value, ta.reasons) == (
        1.0,
        pytest.approx(1 / 3),
        {"broken": 4},
    )
    assert ta.consensus == {"tie": 1.0}
    for each in by_key.values():
        assert sum(each.shares.values()) == pytest.approx(1)
        assert sum(each.consensus.values()) == pytest.approx(1)


def test_the_median_and_the_bins_hold_all_votes(voted):
    panel = PANELS["time"](voted)
    assert (panel.measured, panel.unmeasured, panel.median) == (12, 0, 4.0)
    assert sum(each.votes for each in panel.bins) == 12
    assert {row.name: row.median for row in panel.people}["annotator 1"] == 4.0


def test_kappa_is_shown_for_enough_in_common_alone(voted):
    panel = PANELS["kappa"](voted)
    cells = panel.dimensions[0].cells
    assert cells[0][1].shared == 4  # of 30 that it takes
    assert cells[0][1].kappa is None
    assert panel.dimensions[0].spread is None


def test_the_dataset_page_counts_clips_prompts_and_words(voted):
    panel = PANELS["dataset"](voted)
    assert (panel.prompts, panel.clips, panel.triplets, panel.settled) == (4, 8, 4, 4)
    (maker,) = panel.generators
    assert (maker.generator, maker.clips, maker.triplets) == ("generator-secret-7B", 8, 8)
    assert (maker.sizes, maker.fps, maker.seconds) == (("64 x 64",), (8.0,), 1.125)
    # "campaign 12ab34: a red square, 0": six words each.
    assert panel.median_words == 6
    assert sum(each.prompts for each in panel.lengths) == 4
    assert panel.categories == (("", 4),)


def test_an_empty_campaign_has_empty_panels(make_campaign):
    campaign = make_campaign(1)
    panels = {name: read(campaign) for name, read in PANELS.items()}
    assert panels["progress"].share == 0
    assert panels["annotators"].people == ()
    assert [each.undefined for each in panels["agreement"].dimensions] == ["nothing"] * 3
    assert [each.judgements for each in panels["labels"].dimensions] == [0, 0, 0]
    assert panels["time"].median is None
    assert panels["generators"].dimensions == ()
    assert refresh_posteriors(campaign) == 0


def test_a_withdrawn_question_leaves_all_figures(voted):
    triplet = voted.triplets.first()
    voted.triplets.filter(pk=triplet.pk).update(state="withdrawn")
    assert PANELS["agreement"](voted).votes == 9
    assert PANELS["progress"](voted).counted == 9
    assert PANELS["dataset"](voted).triplets == 3


# Asked once whatever the campaign holds: dimensions, triplets, votes, and what the panel adds.
QUERIES = {
    "progress": 10,
    "labels": 4,
    "agreement": 3,
    "agreement-over-time": 3,
    "kappa": 4,
    "annotators": 5,
    "sides": 6,
    "time": 4,
    "confusion": 4,
    "generators": 5,
    "dataset": 8,
}


@pytest.mark.parametrize("name", list(PANELS))
def test_the_number_of_queries_is_pinned(voted, name, django_assert_max_num_queries):
    with django_assert_max_num_queries(QUERIES[name]):
        panel = PANELS[name](voted)
    assert is_dataclass(panel)
    assert asdict(panel)["campaign"] == voted.pk
    for table in panel.tables():
        assert all(len(row) == len(table.columns) for row in table.rows), table.name


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


def test_the_annotators_panel_applies_the_rule_on_carelessness(make_campaign, people, lee, client):
    """Four people vote on 24 triplets; the last one throws a die."""
    from annotation.assigning import claim
    from annotation.ballots import Answer, Ballot
    from annotation.models import Dimension, Lease
    from annotation.voting import cast_vote

    campaign = make_campaign(24, votes_wanted=4)
    campaign.gold_share = campaign.repeat_share = 0
    campaign.save()
    keys = list(
        Dimension.objects.filter(dimension_set=campaign.dimension_set).values_list("key", flat=True)
    )
    chance = random.Random(5)
    for user in people(4):
        for _ in range(24):
            given = claim(campaign, user, uuid.uuid4())
            honest = "right" if Lease.objects.get(token=given.token).swap else "left"
            careless = user.username == "annotator 3"
            words = [chance.choice(["left", "right", "tie"]) if careless else honest for _ in keys]
            answers = {key: Answer(word) for key, word in zip(keys, words, strict=True)}
            cast_vote(given.token, user, Ballot(str(given.left.pk), str(given.right.pk), answers))
    panel = PANELS["annotators"](campaign)
    found = {row.name: (row.careless, row.random_share) for row in panel.people}
    assert panel.careless == 1
    assert found["annotator 3"][0] is True
    # A die agrees with people who always say A like the die that the rule assumes.
    assert found["annotator 3"][1] == pytest.approx(1, abs=0.3)
    assert found["annotator 0"][1] == pytest.approx(0, abs=0.1)
    client.force_login(lee)
    page = client.get(f"/campaigns/{campaign.pk}/panels/annotators/").content.decode()
    assert page.count(">careless</span>") == 1
