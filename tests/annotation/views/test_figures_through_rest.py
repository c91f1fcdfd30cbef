"""Figures as JSON and as CSV, for leads and ML engineers."""

import csv
import io

import pytest

from annotation.dashboards import PANELS
from annotation.spreadsheets import csv_text, safe


@pytest.fixture
def voted(make_campaign, people, annotator):
    campaign = make_campaign(3, votes_wanted=2)
    for user in people(2):
        sits = annotator(user)
        for _ in range(3):
            sits.vote(sits.next(campaign), ["left", "tie", "invalid"])
    return campaign


def rows_of(answer) -> list[dict[str, str]]:
    text = answer.content.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("panel", list(PANELS))
def test_each_panel_is_json_and_each_of_its_tables_csv(voted, lee, annotator, panel):
    lead = annotator(lee)
    answer = lead.get(f"/api/campaigns/{voted.pk}/figures/{panel}")
    assert answer.status_code == 200
    assert answer.json()["campaign"] == voted.pk
    for table in PANELS[panel](voted).tables():
        answer = lead.get(f"/api/campaigns/{voted.pk}/figures/{panel}.csv?table={table.name}")
        assert answer.status_code == 200
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert answer["Content-Disposition"].endswith(f'-{panel}-{table.name}.csv"')
        assert len(rows_of(answer)) == len(table.rows)


def test_the_first_table_needs_no_name_and_an_unknown_one_is_named(voted, lee, annotator):
    lead = annotator(lee)
    rows = rows_of(lead.get(f"/api/campaigns/{voted.pk}/figures/labels.csv"))
    ta = next(row for row in rows if row["dimension"] == "TA" and row["of"] == "judgements")
    assert float(ta["invalid"]) == 1.0
    answer = lead.get(f"/api/campaigns/{voted.pk}/figures/labels.csv?table=salaries")
    assert answer.status_code == 404
    assert "shares, rates" in answer.json()["error"]
    answer = lead.get(f"/api/campaigns/{voted.pk}/figures/salaries")
    assert answer.status_code == 404
    assert "agreement" in answer.json()["error"]
    assert lead.get(f"/api/campaigns/{voted.pk}/figures").json()["panels"] == list(PANELS)


def test_figures_are_for_leads_and_ml_engineers(voted, alice, charlie, lee, mia, annotator):
    paths = [f"/api/campaigns/{voted.pk}/{name}" for name in ("progress", "agreement", "figures")]
    paths += [f"/api/campaigns/{voted.pk}/figures/{name}" for name in ("kappa", "kappa.csv")]
    for path in paths:
        for user, status in ((alice, 403), (charlie, 403), (lee, 200), (mia, 200)):
            assert annotator(user).get(path).status_code == status, (path, user)
    for path in paths:
        assert annotator(lee).get(path.replace(f"/{voted.pk}/", "/999999/")).status_code == 404


@pytest.mark.promise("M6")
@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠"]
)
def test_no_cell_is_a_formula(start):
    assert str(safe(f"{start}1+1")).startswith("'")


def test_numbers_stay_numbers_and_nothing_is_empty():
    text = csv_text(["n", "x"], [[-1, -0.5], [None, float("nan")], [True, "a name"]])
    assert text.splitlines() == ["n,x", "-1,-0.5", ",", "true,a name"]


@pytest.mark.promise("M6")
def test_a_name_like_a_formula_is_disarmed_in_the_csv(voted, lee, annotator):
    from django.contrib.auth.models import User

    User.objects.filter(username="annotator 0").update(username="@SUM(A1:A9)")
    answer = annotator(lee).get(f"/api/campaigns/{voted.pk}/figures/annotators.csv")
    assert "'@SUM(A1:A9)" in {row["annotator"] for row in rows_of(answer)}
