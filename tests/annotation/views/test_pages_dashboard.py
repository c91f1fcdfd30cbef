"""The lead's dashboard: live, and honest about what is undefined."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from annotation.charts import Scale, Series, lines_chart, nice_ticks, stack
from annotation.dashboards import READERS
from annotation.dashboards.people import side_row, with_adjusted_p
from annotation.templatetags.annotation_format import coefficient, days, p_value, percent
from annotation.views.dashboard import PAGES


@pytest.fixture
def lead(lee: Any) -> Client:
    client = Client()
    client.force_login(lee)
    return client


def stamp_of(answer: Any) -> str:
    return str(answer.context["stamp"])


def test_agreement_without_votes_is_undefined_and_says_why(
    lead: Client, make_campaign: Callable
) -> None:
    html = lead.get(f"/campaigns/{make_campaign(2).pk}/panels/agreement/").content.decode()
    assert html.count("undefined") >= 3
    assert "no question has two votes yet" in html
    assert "NaN" not in html


def test_agreement_without_variation_is_undefined_and_says_why(
    lead: Client, make_campaign: Callable, people: Callable, annotator: Callable
) -> None:
    campaign = make_campaign(2, votes_wanted=2)
    for user in people(2):
        sits = annotator(user)
        for _ in range(2):
            assert sits.vote(sits.next(campaign), "tie").status_code == 200
    html = lead.get(f"/campaigns/{campaign.pk}/panels/agreement/").content.decode()
    assert "everybody always gave the same label" in html


def test_the_frame_of_a_page_asks_for_its_panels_one_by_one(
    lead: Client, make_campaign: Callable, django_assert_max_num_queries: Callable
) -> None:
    campaign = make_campaign(2)
    for name, page in PAGES.items():
        path = f"/campaigns/{campaign.pk}/" + ("" if name == "dashboard" else f"{name}/")
        html = lead.get(path).content.decode()
        for panel in page.panels:
            assert f'hx-get="/campaigns/{campaign.pk}/panels/{panel}/"' in html
    with django_assert_max_num_queries(6):  # session, person, roles, campaign, notices
        lead.get(f"/campaigns/{campaign.pk}/generators/")


@pytest.mark.parametrize("name", list(READERS))
def test_each_panel_is_drawn_without_and_with_votes(
    lead: Client, make_campaign: Callable, people: Callable, annotator: Callable, name: str
) -> None:
    campaign = make_campaign(3, votes_wanted=2)
    path = f"/campaigns/{campaign.pk}/panels/{name}/"
    assert f'id="panel-{name}"' in lead.get(path).content.decode()
    for user, words in zip(
        people(2), (["left", "tie", "invalid"], ["left", "right", "tie"]), strict=True
    ):
        sits = annotator(user)
        for _ in range(3):
            assert sits.vote(sits.next(campaign), words).status_code == 200
    html = lead.get(path).content.decode()
    assert f'id="panel-{name}"' in html
    for word in ("nan%", "NaN", "None", 'style="', "<script>"):
        assert word not in html.replace("<script type=", ""), word


def test_a_panel_that_is_not_there_is_not_found(lead: Client, make_campaign: Callable) -> None:
    campaign = make_campaign(1)
    assert lead.get(f"/campaigns/{campaign.pk}/panels/secrets/").status_code == 404
    assert lead.get("/campaigns/999999/panels/labels/").status_code == 404


def test_panels_and_pages_of_figures_are_for_leads_and_ml_engineers(
    make_campaign: Callable, alice: Any, mia: Any, charlie: Any
) -> None:
    campaign = make_campaign(1)
    paths = [f"/campaigns/{campaign.pk}/panels/{name}/" for name in READERS]
    paths += [f"/campaigns/{campaign.pk}/{page}/" for page in PAGES if page != "dashboard"]
    for user, status in ((alice, 403), (charlie, 403), (mia, 200)):
        client = Client()
        client.force_login(user)
        assert {client.get(path).status_code for path in paths} == {status}
    assert {Client().get(path).status_code for path in paths} == {302}


@pytest.mark.parametrize("name", ["progress", "agreement", "generators"])
def test_without_news_the_live_question_has_an_empty_answer(
    lead: Client, make_campaign: Callable, people: Callable, annotator: Callable, name: str
) -> None:
    campaign = make_campaign(2)
    path = f"/campaigns/{campaign.pk}/panels/{name}/"
    seen = stamp_of(lead.get(path))
    assert lead.get(path, {"seen": seen}).status_code == 204

    sits = annotator(people(1)[0])
    sits.vote(sits.next(campaign))
    news = lead.get(path, {"seen": seen})
    assert news.status_code == 200
    assert "<html" not in news.content.decode()  # the panel alone
    assert stamp_of(news) != seen


def test_what_was_read_is_shared_until_something_changes(
    lead: Client,
    make_campaign: Callable,
    people: Callable,
    annotator: Callable,
    django_assert_max_num_queries: Callable,
) -> None:
    campaign = make_campaign(2)
    sits = annotator(people(1)[0])
    sits.vote(sits.next(campaign))
    path = f"/campaigns/{campaign.pk}/panels/time/"
    first = lead.get(path).content.decode()
    with django_assert_max_num_queries(10) as queries:
        assert lead.get(path).content.decode() == first
    assert not any("annotation_triplet WHERE" in each["sql"] for each in queries.captured_queries)
    sits.vote(sits.next(campaign))
    assert lead.get(path).content.decode() != first


def test_a_revision_is_news(
    lead: Client, make_campaign: Callable, people: Callable, annotator: Callable
) -> None:
    campaign = make_campaign(1)
    sits = annotator(people(1)[0])
    given = sits.next(campaign)
    vote = sits.vote(given, "left").json()
    seen = stamp_of(lead.get(f"/campaigns/{campaign.pk}/panels/progress/"))
    assert sits.revise(vote["vote"], 1, sits.ballot(given, "right")).status_code == 200
    assert lead.get(f"/campaigns/{campaign.pk}/panels/progress/", {"seen": seen}).status_code == 200


def test_labels_of_settled_pairs_leave_as_a_videoalign_csv(
    lead: Client, make_campaign: Callable, people: Callable, annotator: Callable
) -> None:
    campaign = make_campaign(2, votes_wanted=1)
    sits = annotator(people(1)[0])
    sits.vote(sits.next(campaign), "tie")
    answer = lead.get(f"/campaigns/{campaign.pk}/export.csv")
    rows = b"".join(answer.streaming_content).decode().splitlines()
    assert answer["Content-Disposition"].startswith("attachment; filename=")
    assert rows[0].startswith("path_A,path_B,prompt,VQ,MQ,TA,")
    assert len(rows) == 2  # the other pair is still open
    assert ",same,same,same," in rows[1]


def test_a_side_bias_is_named_at_five_percent_false_discoveries() -> None:
    # Ten people: one always left (p = 2/2^12), one 10 of 12 (p = 0.0386), eight without a lean.
    rows = with_adjusted_p(
        [side_row("a", 12, 12), side_row("b", 10, 12)] + [side_row("c", 6, 12)] * 8
    )
    assert rows[0].adjusted_p == pytest.approx(10 * 2 / 2**12)
    assert rows[1].adjusted_p == pytest.approx(10 / 2 * rows[1].p)
    assert [row.leans for row in rows] == ["left", *[""] * 9]
    assert side_row("nobody", 0, 0).leans == ""
    assert side_row("right", 0, 12).leans == "right"


def test_shares_become_parts_of_one_bar() -> None:
    parts = stack([(word, word, share, "") for word, share in SHARES.items()])
    assert [(part.word, part.x, part.width, part.middle) for part in parts] == [
        ("A", 0.0, 50.0, 25.0),
        ("tie", 50.0, 25.0, 62.5),
        ("B", 75.0, 25.0, 87.5),
    ]
    assert [part.label.replace("\N{NO-BREAK SPACE}", " ") for part in parts] == [
        "50 %",
        "25 %",
        "25 %",
    ]


SHARES = {"A": 0.5, "tie": 0.25, "invalid": 0.0, "B": 0.25}


def test_places_on_an_axis_are_percent_and_never_outside() -> None:
    scale = Scale(-0.2, 1.0, 0, 100)
    assert [scale(value) for value in (-0.2, 0.4, 1.0, -0.9, 7.0)] == [0, 50, 100, 0, 100]
    assert nice_ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert nice_ticks(940, 1110, 4) == [950, 1000, 1050, 1100]
    assert nice_ticks(2, 2) == [2]


def test_curves_leave_out_what_is_undefined() -> None:
    series = Series("VQ", ((0.2, 0.1, 0.3), None, (0.4, None, None)))
    chart = lines_chart("t", ["a", "b", "c"], [series], ["1", "2", "3"], bounds=(-1, 1))
    (curve,) = chart.curves
    assert len(curve.dots) == 2
    assert curve.line.count("L") == 1
    assert "nan" not in curve.line + curve.band
    assert [zone.tip for zone in chart.zones] == ["1", "2", "3"]


def test_figures_are_written_for_people() -> None:
    assert coefficient(None) == "undefined"
    assert coefficient(-0.001) == "0.00"
    assert coefficient(-0.25) == "\N{MINUS SIGN}0.25"
    assert percent(0.634) == "63\N{NO-BREAK SPACE}%"
    assert p_value(0.00001) == "p < 0.0001"
    with translation.override("en"):
        told = [days(number) for number in (0.3, 1.0, 5.14, 12.4, 9999)]
    assert told == [
        "7 hours",
        "24 hours",
        "5.1 days",
        "12 days",
        "over ten years",
    ]
