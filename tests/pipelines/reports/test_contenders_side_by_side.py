"""Any results side by side: what can be named, which table they stand in, how they are drawn."""

from typing import Any

import jsonschema
import pytest
from django.test import Client

from formats.files import write_json
from pipelines.models import Artifact, RunInput
from pipelines.reports.contenders import MOST, NothingToCompare, fields_of
from pipelines.reports.rate_bars import bars_of
from pipelines.views import reports_api
from tests.pipelines.reports import reports_made as made

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def clips(name: str) -> Artifact:
    return made.left_by(
        "generation",
        name,
        "generations",
        lambda path: write_json(path, "x/1", {"of": name}),
        "c.json",
    )


@pytest.fixture
def results() -> dict[str, Artifact]:
    """Two against one base, one of them with a re-test; a third against another base."""
    base, other = clips("Clips of base"), clips("Other clips")
    reward = made.judge("reward", 0.7, 0.8, was_training_reward=True)
    found = {
        "one": made.evaluation("one", made.judge("z", 0.6, 0.7), reward),
        "two": made.evaluation("two", made.judge("z", 0.2, 0.4), made.judge("reward", 0.4, 0.6)),
        "three": made.evaluation("three", made.judge("z", 0.6, 0.7)),
    }
    for name, each in found.items():
        made.compared_with(each, other if name == "three" else base)
    found["people"] = made.human_test("one", 30, 10, 10)
    opened = made.left_by(
        "retest", "Re-test", "retest", lambda path: write_json(path, "x/1", {}), "retest.json"
    )
    made.compared_with(opened, base)
    RunInput.objects.create(run=found["people"].run, role="retest", artifact=opened)
    return found


def test_results_against_the_same_clips_stand_in_one_table(results: dict[str, Artifact]) -> None:
    ids = [results[name].pk for name in ("one", "two", "three")]
    table, other = fields_of({"evaluation": ids, "human_test": [results["people"].pk]})
    one, again = (f"one (run {results[name].run_id})" for name in ("one", "people"))
    assert [each.name for each in table.contenders] == [one, "two", again]
    assert [each.name for each in other.contenders] == ["three"]
    # People first, the training reward of any of them last; overall before its dimensions.
    assert list(table.judges) == ["people", "z", "reward"]
    assert table.judges["z"] == ["overall", "VQ"]
    rate = table.contenders[2].rates["people"]["overall"]
    assert (rate.rate, rate.low, rate.high, rate.counts) == (0.7, 0.6, 0.8, (30, 10, 10))


def test_a_report_and_a_run_stand_for_what_they_read_and_left(
    results: dict[str, Artifact], mia: Any
) -> None:
    inputs = {"evaluation:one": results["one"], "evaluation:two": results["two"]}
    report = made.report(mia, inputs)
    for named in (
        {"report": [report.pk]},
        {"run": [report.run_id]},
        {"run": [results["one"].run_id], "evaluation": [results["two"].pk, results["one"].pk]},
    ):
        (table,) = fields_of(named)
        assert sorted(each.name for each in table.contenders) == ["one", "two"]


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({}, "nothing is named that was judged"),
        ({"evaluation": [99999]}, "evaluation 99999 has led to no result"),
        ({"run": [99999]}, "run 99999 has led to no result"),
        ({"adapter": [99999]}, "adapter 99999 has led to no result"),
    ],
)
def test_what_leads_to_nothing_is_named(named: dict[str, list[int]], sentence: str) -> None:
    with pytest.raises(NothingToCompare, match=sentence):
        fields_of(named)


def test_a_table_has_an_end() -> None:
    many = [made.evaluation(f"c{n}", made.judge("z", 0.4, 0.6)).pk for n in range(MOST + 1)]
    with pytest.raises(NothingToCompare, match=f"at most {MOST} fit into one table"):
        fields_of({"evaluation": many})


def test_bars_go_from_one_half_to_the_rate_with_a_whisker_over_them(
    results: dict[str, Artifact],
) -> None:
    (table,) = fields_of({"evaluation": [results["one"].pk, results["two"].pk]})
    charts = dict(bars_of(table))["z"]
    assert [chart.title for chart in charts] == ["overall", "VQ"]
    up, down = charts[0].bars
    assert (up.word, down.word) == ("up", "down")
    assert up.x == charts[0].half
    assert down.x + down.width == pytest.approx(charts[0].half)
    # 0.65 on a scale of 260 pixels: 0.15 of it above one half, ends 0.05 to either side.
    assert up.width == pytest.approx(0.15 * 260)
    assert up.high - up.low == pytest.approx(0.1 * 260)
    assert up.title == "one: 0.650, 95 % interval 0.600 to 0.700"


def test_the_page_shows_tables_bars_and_what_can_be_chosen(
    results: dict[str, Artifact], lee: Any, alice: Any
) -> None:
    query = f"?evaluation={results['one'].pk}&evaluation={results['two'].pk}"
    html = _as(lee).get(f"/reports/contenders{query}").content.decode()
    assert "training reward of 1 of 2" in html
    assert html.count("<rect") == 8  # two judges, two dimensions, two candidates
    assert html.count('type="checkbox"') == len(results)
    assert "figures of one table do not compare" not in html
    both = f"{query}&evaluation={results['three'].pk}"
    html = _as(lee).get(f"/reports/contenders{both}").content.decode()
    assert "figures of one table do not compare with those of another" in html
    html = _as(lee).get("/reports/contenders?run=99999").content.decode()
    assert "run 99999 has led to no result to compare" in html
    assert _as(lee).get("/reports/contenders").status_code == 200
    assert _as(alice).get(f"/reports/contenders{query}").status_code == 403


def test_programs_get_the_same_figures(results: dict[str, Artifact], lee: Any, mia: Any) -> None:
    report = made.report(mia, {"evaluation:one": results["one"]})
    client = _as(lee)
    told = client.get(f"/api/results?evaluation={results['one'].pk}&run={report.run_id}").json()
    jsonschema.validate(told, reports_api._SIDE_BY_SIDE)
    assert told["schema"] == "contenders/1"
    (contender,) = told["tables"][0]["contenders"]
    assert contender["win_rates"]["z"]["overall"]["low"] == 0.6
    assert contender["standing"] == {"z": "independent", "reward": "training reward"}
    listed = client.get("/api/reports").json()["results"]
    assert [(each["id"], each["verdicts"]) for each in listed] == [(report.pk, {"one": "better"})]
    whole = client.get(f"/api/reports/{report.pk}").json()
    jsonschema.validate(whole, reports_api._REPORT)
    assert whole["candidates"][0]["candidate"] == "one"
    for place, code, words in (
        ("results?run=99999", 422, "run 99999 has led to no result"),
        ("results?run=x", 422, "run must be an id"),
        ("results", 422, "nothing is named"),
        (f"reports/{results['one'].pk}", 404, "no such report"),
    ):
        answer = client.get(f"/api/{place}")
        assert (answer.status_code, words in answer.content.decode()) == (code, True), place
