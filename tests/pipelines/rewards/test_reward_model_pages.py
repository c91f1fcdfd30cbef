"""The page of a reward model's run: numbers with intervals, charts, tables, alarms, its card."""

from typing import Any

import pytest
from django.test import Client

from formats.files import write_json
from formats.outcome import Outcome, Output, OutputKind
from formats.run_dir import RunDir
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.rewards.panels import page_of
from pipelines.rewards.reading import Examined, examined
from pipelines.starting import start_run
from tests.pipelines.loop_world import play
from tests.pipelines.rewards.reward_world import PROBES, TITLES, card, examined_runs

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return card()


@pytest.fixture
def found(content: dict[str, Any]) -> Examined:
    return Examined(content["evaluation"], content["probes"], TITLES, {})


def page(client: Client, run: Any, query: str = "") -> str:
    answer = client.get(f"/runs/{run.pk}/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_shows_numbers_charts_tables_alarms_and_the_card(
    mia: Any, client: Client, django_assert_max_num_queries: Any
) -> None:
    (run,) = examined_runs(mia)
    client.force_login(mia)
    page(client, run)
    with django_assert_max_num_queries(14):
        html = page(client, run)
    for question in ("How often does it agree with people?", "Do ties have small differences?",
                     "Do its probabilities mean what they say?", "Does it rank clips as",
                     "Is it as good on every pair of generators?",
                     "Does it answer what is known?"):  # fmt: skip
        assert question in html
    row = examined(run, list(run.artifacts.all())).rows("test")["VQ"]
    low, high = row["accuracy_without_ties_interval"]
    assert f'data-figure="accuracy">{row["accuracy_without_ties"]:.3f}</span>' in html
    assert f"{low:.3f} – {high:.3f}" in html
    assert "1 probe failed" in html
    assert "TA 0.6 to &lt;b&gt;0.7&lt;/b&gt;." in html
    assert html.count("<svg") > 20
    for forbidden in (" style=", "<style", "<script>", "onclick"):
        assert forbidden not in html
    model = run.artifacts.get()
    for name, kind, start in (
        ("card.md", "text/markdown", b"# Reward model of run"),
        ("card.json", "application/json", b"{"),
    ):
        answer = client.get(f"/artifacts/{model.pk}/{name}")
        assert answer["Content-Type"].startswith(kind)
        assert "attachment" in answer["Content-Disposition"]
        assert answer.content.startswith(start)
        assert f"/artifacts/{model.pk}/{name}" in html
        assert (
            f"/artifacts/{model.pk}/{name}"
            in client.get(f"/artifacts/{model.pk}/").content.decode()
        )


def test_annotators_get_no_card(alice: Any, mia: Any, client: Client) -> None:
    (run,) = examined_runs(mia)
    client.force_login(alice)
    assert client.get(f"/artifacts/{run.artifacts.get().pk}/card.json").status_code == 403


def test_a_model_of_the_same_snapshot_stands_beside(mia: Any, client: Client) -> None:
    btt, bt = examined_runs(mia, count=2)
    other = bt.artifacts.get()
    client.force_login(mia)
    alone = page(client, btt)
    assert f"Model 1 (bt, run {bt.pk})" in alone
    beside = page(client, btt, f"?beside={other.pk}")
    assert f'value="{other.pk}" selected' in beside
    assert beside.count("<svg") > alone.count("<svg")
    # Its own id, the id of something else and nonsense are as none.
    for each in (btt.artifacts.get().pk, 999_999, "x"):
        assert page(client, btt, f"?beside={each}").count("<svg") == alone.count("<svg")


def test_an_evaluation_shows_its_figures_and_the_model_it_beats(mia: Any, client: Client) -> None:
    model = examined_runs(mia)[0].artifacts.get()
    inputs = {"reward_model": model, "snapshot": Artifact.objects.get(kind="snapshot")}

    def leave(_run: Any, folder: RunDir) -> Outcome:
        row = {"first": 0.8, "second": 0.7, "difference": 0.1, "low": 0.02, "high": 0.18}
        comparison = {"other": "ab", "dimensions": {"VQ": {**row, "p_value": 0.01}}}
        body = {**card(), "comparison": comparison}
        path = "outputs/evaluation.json"
        sha256 = write_json(folder.root / path, "reward_evaluation/2", body)
        return Outcome(0, outputs=(Output(OutputKind.REWARD_EVALUATION, path, sha256),))

    run = play(start_run("reward_evaluation", {}, inputs, user=mia), leave=leave)
    client.force_login(mia)
    html = page(client, run)
    assert "Is it better than the other model?" in html
    assert "+0.100" in html
    assert "p = 0.01; 0.800 against 0.700" in html
    assert "/card.md" not in html


def test_a_damaged_card_leaves_the_figures_of_the_summary(mia: Any, client: Client) -> None:
    (run,) = examined_runs(mia)
    file = path_of(run.artifacts.get()) / "card.json"
    file.write_text('{"schema": "reward_card/9"}')
    client.force_login(mia)
    html = page(client, run)
    assert "How often does it agree with people?" in html
    assert "Do ties have small differences?" not in html
    file.unlink()
    assert client.get(f"/artifacts/{run.artifacts.get().pk}/card.json").status_code == 404


def test_a_run_about_something_else_has_no_such_panels(mia: Any, client: Client) -> None:
    examined_runs(mia)
    snapshot = Artifact.objects.get(kind="snapshot")
    client.force_login(mia)
    assert "How often does it agree" not in page(client, snapshot.run)
    assert client.get(f"/artifacts/{snapshot.pk}/card.md").status_code == 404


# What the panels say.


def test_held_out_prompts_are_shown_before_others(content: dict[str, Any]) -> None:
    evaluation = content["evaluation"]
    assert Examined(evaluation, [], {}, {}).split == "test"
    assert Examined({"validation": evaluation["validation"]}, [], {}, {}).split == "validation"
    nobody = {"test": {"VQ": {"pairs": 0}}, "train": evaluation["test"]}
    assert Examined(nobody, [], {}, {}).split == "train"
    empty = page_of(Examined({"test": {"VQ": {"pairs": 0}}}, [], {}, {}))
    assert empty.panels == ()


def test_accuracies_stand_beside_baselines_and_people(found: Examined) -> None:
    panel = page_of(found).panels[0]
    without, ties, curve = (drawn for _, drawn in panel.parts[0].charts)
    assert [row.label for row in without.rows] == ["this model", "one annotator"]
    assert [row.label for row in ties.rows] == [
        "validation threshold", "BTT threshold", "best threshold", "one annotator", "always tie",
        "random",
    ]  # fmt: skip
    assert all(span.low <= span.at <= span.high for row in without.rows for span in row.spans)
    assert len(curve.curves) == 1
    tables = {table.title: dict(table.rows) for table in panel.tables}
    assert set(tables) == {
        "Accuracy, test prompts", "Accuracy, validation prompts", "Tie thresholds"
    }  # fmt: skip
    assert tables["Tie thresholds"]["BTT threshold"][0] == "1.526"


def test_a_model_without_details_or_people_says_what_it_has() -> None:
    row = {"pairs": 4, "decisive": 2, "accuracy_without_ties": 1.0,
           "accuracy_without_ties_interval": None, "accuracy_with_ties": 0.75,
           "baseline_always_tie": 0.5}  # fmt: skip
    page = page_of(Examined({"test": {"VQ": row}}, [], {}, {}))
    assert [panel.name for panel in page.panels] == ["accuracy"]
    assert [row.label for row in page.panels[0].parts[0].charts[1][1].rows] == [
        "best threshold", "always tie",
    ]  # fmt: skip


def test_single_clips_that_people_scored_have_correlations_alone() -> None:
    row = {"pairs": 0, "scored_clips": 30, "spearman": 0.8, "kendall_tau_b": 0.6, "pearson": None}
    (panel,) = page_of(Examined({"test": {"VQ": row}}, [], {}, {})).panels
    assert (panel.name, panel.parts[0].number) == ("correlations", "0.800")
    assert [each.label for each in panel.parts[0].charts[0][1].rows] == [
        "Spearman", "Kendall tau-b",
    ]  # fmt: skip


def test_bt_spreads_ties_and_btt_does_not_in_the_number_without_a_unit(found: Examined) -> None:
    bt = Examined(card(spread=3.0)["evaluation"], [], {}, {})
    panel = next(p for p in page_of(found, other=bt, beside="BT").panels if p.name == "differences")
    part = panel.parts[0]
    assert [heading for heading, _ in part.charts] == ["This model", "BT"]
    # The same order of pairs, only stretched: the separation is equal, the axis is not.
    assert part.note == f"separation of ties; BT: {part.number}"
    decided, tied = part.charts[0][1].curves
    assert (decided.name, tied.name) == ("decided", "tied")


def test_the_reliability_chart_has_a_curve_per_answer_and_the_perfect_one(found: Examined) -> None:
    panel = next(p for p in page_of(found).panels if p.name == "reliability")
    (_, chart), = panel.parts[0].charts  # fmt: skip
    assert [curve.name for curve in chart.curves] == ["A", "tie", "B", "perfect"]
    assert len(chart.zones) == 10
    heights = [y for _, y in chart.curves[3].dots]
    assert heights == sorted(heights, reverse=True)


def test_generators_are_a_matrix_with_the_worst_pair_as_its_number(found: Examined) -> None:
    panel = next(p for p in page_of(found).panels if p.name == "generators")
    part = panel.parts[0]
    (_, heat), = part.charts  # fmt: skip
    assert heat.columns == tuple(f"generator {n}" for n in range(4))
    texts = [[cell.text for cell in row.cells] for row in heat.rows]
    assert texts[0][1] == texts[1][0]
    # Accuracy and its interval: the pair whose upper end is the lowest.
    ends = {cells[2]: float(cells[3].split(" – ")[1]) for _, cells in panel.tables[0].rows}
    assert part.number == min(ends, key=lambda accuracy: ends[accuracy])


def test_probes_become_badges_and_the_failed_ones_alarms(found: Examined) -> None:
    page = page_of(found)
    assert [row.badge for row in page.probes] == ["badge-ok", "badge-bad", "", ""]
    assert page.alarms == (PROBES[1]["sentence"],)


def test_play_still_pretends_for_runs_without_a_worker_of_their_own(mia: Any) -> None:
    from pipelines.models import BaseModel

    examined_runs(mia)
    inputs = {
        "snapshot": Artifact.objects.get(kind="snapshot"),
        "backbone": BaseModel.objects.get(name="tiny-vlm"),
    }
    run = play(start_run("reward_model", {}, inputs, user=mia))
    assert examined(run, list(run.artifacts.all())).rows("test")["VQ"]["decisive"] == 25
