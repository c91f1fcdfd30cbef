"""The lead's dashboard: live, and honest about what is undefined."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from annotation.templatetags.annotation_chart import place, segments_of
from annotation.templatetags.annotation_format import coefficient, percent


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
    html = lead.get(f"/campaigns/{make_campaign(2).pk}/").content.decode()
    assert html.count("undefined") >= 3
    assert "no pair has two votes yet" in html
    assert "NaN" not in html


def test_agreement_without_variation_is_undefined_and_says_why(
    lead: Client, make_campaign: Callable, people: Callable, annotator: Callable
) -> None:
    campaign = make_campaign(2, votes_wanted=2)
    for user in people(2):
        sits = annotator(user)
        for _ in range(2):
            assert sits.vote(sits.next(campaign), "tie").status_code == 200
    html = lead.get(f"/campaigns/{campaign.pk}/").content.decode()
    assert "everybody always gave the same label" in html


def test_without_news_the_live_question_has_an_empty_answer(
    lead: Client, make_campaign: Callable, people: Callable, annotator: Callable
) -> None:
    campaign = make_campaign(2)
    path = f"/campaigns/{campaign.pk}/"
    seen = stamp_of(lead.get(path))
    assert lead.get(path, {"seen": seen}).status_code == 204

    sits = annotator(people(1)[0])
    sits.vote(sits.next(campaign))
    news = lead.get(path, {"seen": seen})
    assert news.status_code == 200
    assert "<html" not in news.content.decode()  # the figures alone
    assert stamp_of(news) != seen
    assert "annotator 0" in news.content.decode()


def test_a_revision_is_news(
    lead: Client, make_campaign: Callable, people: Callable, annotator: Callable
) -> None:
    campaign = make_campaign(1)
    sits = annotator(people(1)[0])
    given = sits.next(campaign)
    vote = sits.vote(given, "left").json()
    seen = stamp_of(lead.get(f"/campaigns/{campaign.pk}/"))
    assert sits.revise(vote["vote"], 1, sits.ballot(given, "right")).status_code == 200
    assert lead.get(f"/campaigns/{campaign.pk}/", {"seen": seen}).status_code == 200


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


def test_a_side_bias_is_named_only_beyond_chance_over_all_annotators() -> None:
    from annotation.views.pages import leaning

    def row(share: float, p: float) -> Any:
        return SimpleNamespace(left_share=share, left_p=p)

    assert leaning(row(0.8, 0.004), tests=10) == "left"
    assert leaning(row(0.2, 0.004), tests=10) == "right"
    assert leaning(row(0.8, 0.006), tests=10) == ""  # 0.05 / 10 = 0.005
    assert leaning(row(None, None), tests=10) == ""  # type: ignore[arg-type]


def test_shares_become_parts_of_one_bar() -> None:
    parts = segments_of({"A": 0.5, "B": 0.25, "tie": 0.25, "invalid": 0.0})
    assert [(part.word, part.x, part.width) for part in parts] == [
        ("A", 0.0, 50.0),
        ("tie", 50.0, 25.0),
        ("B", 75.0, 25.0),
    ]


def test_coefficients_stand_on_an_axis_from_minus_a_fifth_to_one() -> None:
    assert place(-0.2) == 0
    assert place(1.0) == 100
    assert place(0.4) == 50
    assert place(-0.9) == 0
    assert place(None) is None


def test_figures_are_written_for_people() -> None:
    assert coefficient(None) == "undefined"
    assert coefficient(-0.001) == "0.00"
    assert coefficient(-0.25) == "\N{MINUS SIGN}0.25"
    assert percent(0.634) == "63\N{NO-BREAK SPACE}%"
