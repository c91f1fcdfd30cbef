"""Active time and pay per person and day: what counts, how it is rounded, who sees it."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from annotation.accounts import pay
from annotation.models import Flag, Probe, ProbeAnswer, ProbeLease, Vote
from annotation.spreadsheets import safe

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.fixture
def campaign(make_campaign: Any) -> Any:
    made = make_campaign(6, name="pairs")
    made.hourly_rate, made.currency = Decimal("15.00"), "EUR"
    made.save()
    return made


@pytest.fixture
def work(annotator: Any, campaign: Any) -> Any:
    """One vote of that many active ms at that time; gives its id."""

    def vote(user: Any, active_ms: int, at: datetime) -> str:
        browser = annotator(user)
        answer = browser.vote(browser.next(campaign)).json()
        Vote.objects.filter(pk=answer["vote"]).update(active_ms=active_ms, submitted_at=at)
        return str(answer["vote"])

    return vote


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def test_a_day_of_the_site_begins_at_midnight_utc(alice: Any, campaign: Any, work: Any) -> None:
    work(alice, 60_000, datetime(2026, 3, 14, 23, 59, 59, tzinfo=UTC))
    work(alice, 30_000, datetime(2026, 3, 15, 0, 0, 1, tzinfo=UTC))
    days = pay.days_of(campaign)
    assert [(each.day.day, each.active_ms) for each in days] == [(14, 60_000), (15, 30_000)]


def test_a_correction_counts_as_time_and_not_as_a_question(
    alice: Any, campaign: Any, annotator: Any
) -> None:
    browser = annotator(alice)
    given = browser.next(campaign)
    vote = browser.vote(given).json()["vote"]
    assert browser.revise(vote, 1, browser.ballot(given, "right")).status_code == 200
    (day,) = pay.days_of(campaign)
    assert (day.questions, day.reported_ms) == (1, 8000)


def test_answers_on_probes_and_flags_that_end_a_question_count(
    alice: Any, campaign: Any, work: Any
) -> None:
    work(alice, 10_000, NOON)
    triplet = campaign.triplets.first()
    clips = {"video_a": triplet.video_a, "video_b": triplet.video_b}
    probe = Probe.objects.create(
        campaign=campaign, kind="gold", shuffle=1, prompt=triplet.prompt, expected={}, **clips
    )
    lease = ProbeLease.objects.create(
        probe=probe,
        campaign=campaign,
        annotator=alice,
        swap=False,
        tab="7b0c2b6e-3f57-4d0a-9c0e-0d0a5a1f2b3c",
        expires_at=NOON,
    )
    ProbeAnswer.objects.create(
        lease=lease,
        annotator=alice,
        campaign=campaign,
        kind="gold",
        answers={},
        errors=0,
        req_hash="0" * 64,
        active_ms=5000,
        submitted_at=NOON + minutes(1),
    )
    for kind in ("disturbing", "recognised"):
        Flag.objects.create(
            campaign=campaign, triplet=triplet, annotator=alice, kind=kind, created_at=NOON
        )
    (day,) = pay.days_of(campaign)
    assert (day.questions, day.active_ms) == (3, 15_000)


@pytest.mark.parametrize(
    ("active_ms", "rate", "paid"),
    [
        (3_600_000, "15.00", "15.00"),
        (1, "15.00", "0.00"),
        (1200, "15.00", "0.01"),  # half a cent goes up
        (1199, "15.00", "0.00"),
        (5_400_000, "0.01", "0.02"),
    ],
)
def test_the_amount_of_a_day_is_rounded_half_up(active_ms: int, rate: str, paid: str) -> None:
    assert pay.amount(active_ms, Decimal(rate)) == Decimal(paid)


def test_the_total_is_the_sum_of_what_stands_in_the_column(
    alice: Any, campaign: Any, work: Any
) -> None:
    for day in range(3):
        work(alice, 1200, NOON + timedelta(days=day))
    days = pay.days_of(campaign)
    assert [str(each.amount) for each in days] == ["0.01"] * 3
    (total,) = pay.totals(days)
    assert (total.days, str(total.amount), total.active_ms) == (3, "0.03", 3600)


def test_no_day_pays_more_than_the_clock_allows(
    alice: Any, campaign: Any, work: Any, settings: Any
) -> None:
    """A browser may say what it wants: 10 hours within a quarter of an hour."""
    settings.TIEBREAK_LEASE_SECONDS = 900
    work(alice, 5 * 3_600_000, NOON)
    work(alice, 5 * 3_600_000, NOON + minutes(15))
    (day,) = pay.days_of(campaign)
    assert day.cut
    assert (day.reported_ms, day.active_ms) == (36_000_000, 1_800_000)
    assert str(day.amount) == "7.50"


def test_a_period_has_both_its_ends(alice: Any, campaign: Any, work: Any) -> None:
    for day in range(4):
        work(alice, 1000, NOON + timedelta(days=day))
    period = pay.Period(date(2026, 3, 15), date(2026, 3, 16))
    assert [each.day.day for each in pay.days_of(campaign, period)] == [15, 16]


def test_the_table_is_safe_to_open(lee: Any, alice: Any, campaign: Any, work: Any) -> None:
    alice.first_name, alice.email = "=HYPERLINK(1)", "+1@example.org"
    alice.save()
    work(alice, 3_600_000, NOON)
    work(alice, 0, NOON + minutes(60))
    lead = Client()
    lead.force_login(lee)
    for path in (f"/api/campaigns/{campaign.pk}/pay.csv", f"/campaigns/{campaign.pk}/pay.csv"):
        answer = lead.get(path)
        assert answer["Content-Type"].startswith("text/csv")
        (row,) = csv.DictReader(io.StringIO(answer.content.decode()))
        assert row["name"] == "'=HYPERLINK(1)"
        assert row["email"] == "'+1@example.org"
        assert (row["active_ms"], row["hours"], row["amount"]) == ("3600000", "1.0000", "15.00")


@pytest.mark.promise("M6")
@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\0", "＝"])
def test_no_text_becomes_a_formula(start: str) -> None:
    assert safe(f"{start}1") == f"'{start}1".replace("\0", "")
    assert safe("plain") == "plain"
    assert safe("") == ""


def test_an_annotator_sees_own_hours_and_nobody_else_s(
    alice: Any, bob: Any, campaign: Any, work: Any
) -> None:
    work(alice, 60_000, NOON)
    work(bob, 90_000, NOON)
    browser = Client()
    browser.force_login(alice)
    (day,) = browser.get("/api/hours").json()["days"]
    assert (day["username"], day["active_ms"], day["amount"]) == ("alice", 60_000, "0.25")
    assert browser.get(f"/api/campaigns/{campaign.pk}/pay").status_code == 403
    assert browser.get(f"/campaigns/{campaign.pk}/pay/").status_code == 403
    assert "bob" not in browser.get("/account/").content.decode()


def test_a_lead_sees_the_pay_of_all(
    lee: Any, alice: Any, bob: Any, campaign: Any, work: Any
) -> None:
    work(alice, 60_000, NOON)
    work(bob, 90_000, NOON)
    lead = Client()
    lead.force_login(lee)
    days = lead.get(f"/api/campaigns/{campaign.pk}/pay?from=2026-03-14&to=2026-03-14").json()
    assert [each["username"] for each in days["days"]] == ["alice", "bob"]
    page = lead.get(f"/campaigns/{campaign.pk}/pay/").content.decode()
    assert "0.63" in page  # 0.25 + 0.375 rounded up


@pytest.mark.parametrize("query", ["from=soon", "from=2026-03-15&to=2026-03-14"])
def test_a_period_that_is_none_is_told(lee: Any, campaign: Any, query: str) -> None:
    lead = Client()
    lead.force_login(lee)
    assert lead.get(f"/api/campaigns/{campaign.pk}/pay?{query}").status_code == 400
    assert lead.get(f"/campaigns/{campaign.pk}/pay/?{query}").status_code == 400
