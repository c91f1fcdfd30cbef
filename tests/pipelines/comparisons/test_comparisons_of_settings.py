"""Comparisons: one group of several settings, one table, all doors to one function."""

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from formats.records import PairRecord, VideoRef
from pipelines.comparisons import comparing
from pipelines.comparisons.comparing import start_comparison
from pipelines.comparisons.config import ComparisonConfig, members_of, varied
from pipelines.comparisons.members import Rate, winner
from pipelines.comparisons.table import table_of
from pipelines.errors import InvalidRunConfig
from pipelines.loops.chain import start_loop
from pipelines.models import Artifact, BaseModel, GroupKind, LoopGroup, Run, Suite, SuitePrompt
from pipelines.registry import path_of
from pipelines.starting import start_run
from tests.pipelines.loop_world import base_models, loop_config, make_campaign, play, play_all

pytestmark = pytest.mark.django_db

NAME = "Demo world"
TEST = {
    "prompts": {"split": "test"},
    "campaign": NAME,
    "split": {"train": 0.5, "validation": 0.1, "test": 0.4},
    "truth": {},
}
ALL = {"train": 0.0, "validation": 0.0, "test": 1.0}
ON_SUITE = {"prompts": {"suite": "held out", "split": "test"}, "split": ALL, "truth": {}}
TWO = {
    "name": "Two rates",
    "base": {"method": "flow_dpo", "steps": 40, "settings": {"beta": 100.0}},
    "variations": {"as it is": {}, "Flow-DPO slow": {"lr": 1e-6, "settings": {"beta": 50.0}}},
}


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def looped(mia: Any) -> LoopGroup:
    """A loop that is played up to its pairs."""
    group = start_loop(make_campaign(name=NAME, pairs=8, user=mia), loop_config(), mia)
    for run in group.runs.order_by("pk"):
        play(run)
        if run.kind == "pairing":
            break
    return group


@pytest.fixture
def given(db: None) -> dict[str, Any]:
    """Pairs, a generator and a judge as rows, and a suite to test on; nothing was played."""
    base_models()
    clip = VideoRef("v", "v.mp4", "0" * 64, 8.0, 4)
    pair = PairRecord("p", "s/1", "trained", "train", clip, clip, 1.0, 0.9, 0.1, "rewards")
    rows = {"pairs": "pairing", "reward_model": "reward_model"}
    found = {}
    for kind, made_by in rows.items():
        run = Run.objects.create(kind=made_by, config={}, config_sha="", state="succeeded")
        found[kind] = Artifact.objects.create(
            kind=kind, run=run, path=f"{run.pk}/{kind}.jsonl", meta={"dimensions": ["VQ", "MQ"]}
        )
    PairRecord.write(path_of(found["pairs"]), [pair])
    for name, texts in {"held out": ("a circle", "two bars"), "known": ("trained",)}.items():
        suite = Suite.objects.create(name=name)
        for place, text in enumerate(texts):
            SuitePrompt.objects.create(suite=suite, position=place, text=text)
    generator = BaseModel.objects.get(name="tiny-wan")
    return {
        "pairs": found["pairs"],
        "generator": generator,
        "judges:reward": found["reward_model"],
    }


def inputs_of(group: LoopGroup) -> dict[str, Any]:
    loop = group.runs.get(kind="generation", name="Clips for pairs").inputs.get(role="generator")
    return {
        "pairs": Artifact.objects.get(run__group=group, kind="pairs"),
        "generator": loop.base_model,
        "judges:reward": Artifact.objects.get(run__group=group, kind="reward_model"),
    }


def unjudged(inputs: dict[str, Any]) -> dict[str, Any]:
    return {role: row for role, row in inputs.items() if not role.startswith("judges")}


def test_members_are_trained_tested_and_reported_as_one_group(
    looped: Any, mia: Any, lee: Any
) -> None:
    group = start_comparison({**TWO, "test": TEST}, inputs_of(looped), mia)
    assert group.kind == GroupKind.COMPARISON
    members = list(group.runs.filter(kind="alignment").order_by("pk"))
    assert [(run.name, run.config["name"]) for run in members] == [
        ("as it is", "as it is"),
        ("Flow-DPO slow", "Flow-DPO slow"),
    ]
    before = table_of(members)
    assert [each.rates for each in before.members] == [{}, {}]
    client = _as(lee)
    page = client.get(f"/comparisons/{group.pk}/").content.decode()
    assert f'hx-get="/comparisons/{group.pk}/table"' in page
    assert "0 <small>of 14 runs done" in page
    play_all(group)
    fragment = client.get(f"/comparisons/{group.pk}/table").content.decode()
    assert "hx-get" not in fragment
    assert "14 <small>of 14 runs done" in fragment
    page = client.get(f"/comparisons/{group.pk}/").content.decode()
    assert "Same prompt, same seed" in page
    assert "Open the report" in page
    assert "Two rates" in client.get("/comparisons/").content.decode()
    report = group.runs.get(kind="report")
    assert {row.role for row in report.inputs.all()} == {
        "evaluation:as it is",
        "evaluation:Flow-DPO slow",
    }
    members = list(group.runs.filter(kind="alignment").order_by("pk"))
    table = table_of(members)
    # Only what differs, with its path; seconds and figures of training from the rows.
    assert table.members[0].differs == {"settings.beta": "100", "lr": "5e-06"}
    assert table.members[1].differs == {"settings.beta": "50", "lr": "1e-06"}
    assert table.members[0].training["loss"] == pytest.approx(0.6931472 * 0.97**37.5, rel=0.01)
    # The judge that is furthest from training first.
    assert list(table.judges) == ["truth", "reward"]
    assert table.judges["truth"] == ["overall", "MQ", "TA", "VQ"]
    # Pairs were made with that reward model's scores.
    assert table.training_rewards == {"reward"}
    # The clips of "Flow-DPO …" are made to be better beyond doubt, those of the other are not.
    truth = [each.rates["truth"]["overall"] for each in table.members]
    assert truth[1].best == (truth[1].low > truth[0].high)
    assert not truth[0].best
    told = client.get(f"/comparisons/{group.pk}/table.json").json()
    motion = told["members"][0]["motion"]
    assert motion["change"] == pytest.approx(motion["candidate"] - motion["base"])
    assert told["members"][1]["win_rates"]["truth"]["overall"]["rate"] == truth[1].rate


def test_without_a_test_members_are_trained_alone(given: Any, mia: Any) -> None:
    group = start_comparison(TWO, unjudged(given), mia)
    assert list(group.runs.values_list("kind", flat=True)) == ["alignment", "alignment"]


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_start_one_comparison(
    given: Any, mia: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, both = unjudged(given), threading.Barrier(2)
    known, found = comparing.known_group, []

    def asked(*words: Any) -> LoopGroup | None:
        group = known(*words)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)  # the other one asks as well, where nothing holds it back
        return group

    def click() -> None:
        found.append(start_comparison(TWO, inputs, mia, nonce="n").pk)
        connection.close()

    monkeypatch.setattr(comparing, "known_group", asked)
    clicks = [threading.Thread(target=click) for _ in range(2)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()
    (group,) = LoopGroup.objects.filter(kind=GroupKind.COMPARISON)
    assert found == [group.pk] * 2
    assert group.runs.count() == 2


def test_the_same_nonce_gives_the_same_comparison_which_is_no_loop(given: Any, mia: Any) -> None:
    group = start_comparison(TWO, unjudged(given), mia, nonce="n")
    assert start_comparison(TWO, unjudged(given), mia, nonce="n") == group
    assert LoopGroup.objects.filter(kind=GroupKind.COMPARISON).count() == 1
    assert _as(mia).get("/loop/").context["group"] is None
    assert _as(mia).get(f"/loop/{group.pk}/")["Location"] == f"/comparisons/{group.pk}/"


REFUSED: list[tuple[Any, str]] = [
    ({"variations": {"a": {}, "b": {}}}, "'a' and 'b' have the same settings"),
    ({"variations": {"a": {}}}, "members must be 2 to 24, got 1"),
    ({"variations": {"a": {}, "base": {"lr": 1.0}}}, "not 'base', got 'base'"),
    ({"variations": {"a": {}, "b": {"lrr": 1.0}}}, "b: unknown key 'lrr'; did you mean 'lr'"),
    ({"variation": {}}, "comparison: unknown key 'variation'; did you mean 'variations'"),
    ({"variations": [1, 2]}, "variations must be an object from name to settings"),
    ({"configs": {"x": {"preset": "none such"}}}, "x: a alignment run has no preset"),
    ({"test": {"truth": {}, "campaign": "nobody"}}, "there is no campaign 'nobody'"),
    ({"test": {"campaign": "nobody"}}, "test: nobody judges; give judges:NAME"),
    (
        {"test": {**ON_SUITE, "prompts": {"suite": "known", "split": "test"}}},
        "1 of 1 prompts are trained on, such as 'trained'",
    ),
    ({"test": {**ON_SUITE, "prompts": {"suite": "none"}}}, "there is no suite 'none'"),
    ({"test": {**ON_SUITE, "generation": {"stepz": 1}}}, "unknown key 'stepz'"),
]


def test_what_cannot_be_compared_is_named_and_writes_nothing(given: Any, mia: Any) -> None:
    before = Run.objects.count()
    for changes, sentence in REFUSED:
        with pytest.raises(InvalidRunConfig, match=sentence):
            start_comparison({**TWO, **changes}, unjudged(given), mia)
    assert Run.objects.count() == before
    assert not LoopGroup.objects.filter(kind=GroupKind.COMPARISON).exists()


def test_inputs_that_cannot_be_are_named(given: Any, mia: Any) -> None:
    judge = given["judges:reward"]
    test = {**ON_SUITE, "evaluation": {"weights": {"XQ": 1.0}}}
    for config, inputs, sentence in (
        (TWO, {**given, "snapshot": judge}, "a comparison has no input 'snapshot'; there are: pa"),
        (TWO, given, "judges are given but no test"),
        (TWO, {**unjudged(given), "backbone": judge}, "the backbone is that of the judges"),
        (
            {**TWO, "test": test},
            given,
            "the judge reward does not know the dimension 'XQ'; it knows VQ, MQ",
        ),
        (TWO, {"pairs": given["pairs"]}, "needs an input 'generator'"),
    ):
        with pytest.raises(InvalidRunConfig, match=sentence):
            start_comparison(config, inputs, mia)


def test_a_variation_of_another_method_leaves_the_settings_of_the_base_behind() -> None:
    base = {"method": "gapo", "settings": {"alpha": 3.0}, "lora": {"r": 8}}
    assert varied(base, {"method": "sft", "lora": {"alpha": 8.0}}) == {
        "method": "sft",
        "lora": {"r": 8, "alpha": 8.0},
    }
    both = ComparisonConfig(
        base=base, variations={"same": {}}, configs={"whole": {"method": "rwr"}}
    )
    assert [each["method"] for each in members_of(both).values()] == ["gapo", "rwr"]


@pytest.mark.one_engine
def test_best_is_who_stands_wholly_above_all_others() -> None:
    def rate(low: float, high: float) -> Rate:
        return Rate((low + high) / 2, low, high)

    assert winner({1: rate(0.8, 0.9), 2: rate(0.6, 0.7)}) == 1
    assert winner({1: rate(0.8, 0.9), 2: rate(0.6, 0.8)}) is None
    assert winner({1: rate(0.8, 0.9)}) is None
    assert winner({1: rate(0.7, 0.75), 2: rate(0.4, 0.9)}) is None


def test_runs_of_other_inputs_are_not_put_side_by_side(given: Any, mia: Any) -> None:
    client = _as(mia)
    group = start_comparison(TWO, unjudged(given), mia)
    first, second = group.runs.order_by("pk")
    page = client.get(f"/comparisons/runs?run={first.pk}&run={second.pk}").content.decode()
    assert "Settings side by side" in page
    assert "settings.beta" in page
    other = start_run("alignment", {}, unjudged(given), user=mia)
    assert "Settings side by side" in _side_by_side(client, first, other)
    assert "choose two alignment runs at least" in _side_by_side(client, first)
    other_pairs = {**unjudged(given), "pairs": start_run("pairing", {}, user=mia)}
    other = start_run("alignment", {}, other_pairs, user=mia)
    told = "what differs between them is not the settings alone"
    assert told in _side_by_side(client, first, other)
    body = {"action": "compare_runs", "_selected_action": [first.pk, second.pk]}
    answer = client.post("/admin/pipelines/run/", body)
    assert answer["Location"] == f"/comparisons/runs?run={first.pk}&run={second.pk}"


def _side_by_side(client: Client, *runs: Run) -> str:
    query = "&".join(f"run={run.pk}" for run in runs)
    return client.get(f"/comparisons/runs?{query}").content.decode()


def test_annotators_and_leads_start_nothing(given: Any, alice: Any, lee: Any, mia: Any) -> None:
    group = start_comparison(TWO, unjudged(given), mia)
    for path in ("", f"{group.pk}/", f"{group.pk}/table", f"{group.pk}/table.json", "runs"):
        assert _as(alice).get(f"/comparisons/{path}").status_code == 403
    body = {"config": TWO, "inputs": {}}
    for user in (alice, lee):
        answer = _as(user).post("/api/comparisons", body, content_type="application/json")
        assert answer.status_code == 403
    assert _as(lee).get("/admin/pipelines/loopgroup/add/?kind=comparison").status_code == 403


def test_the_form_the_api_and_the_command_start_the_same(
    given: Any, mia: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, generator, judge = given["pairs"], given["generator"], given["judges:reward"]
    client = _as(mia)
    config = {**TWO, "test": ON_SUITE}
    add = "/admin/pipelines/loopgroup/add/?kind=comparison"
    assert "lower rate" in client.get(add).content.decode()
    form = {
        "config": json.dumps(config),
        "pairs": f"artifact:{pairs.pk}",
        "generator": f"base_model:{generator.pk}",
        "judges": [f"artifact:{judge.pk}"],
    }
    answer = client.post(add, form)
    first = LoopGroup.objects.get(kind=GroupKind.COMPARISON)
    assert answer["Location"] == f"/comparisons/{first.pk}/"
    again = client.get(f"{add}&like={first.pk}")
    initial = again.context["form"].initial
    assert initial["pairs"] == f"artifact:{pairs.pk}"
    assert initial["judges"] == [f"artifact:{judge.pk}"]
    assert json.loads(initial["config"])["variations"] == TWO["variations"]
    refused = client.post(add, {**form, "config": json.dumps({**TWO, "variations": {"a": {}}})})
    assert "members must be 2 to 24, got 1" in refused.content.decode()

    body = {
        "config": config,
        "inputs": {
            "pairs": {"artifact": pairs.pk},
            "generator": {"base_model": generator.pk},
            "judges:reward": {"artifact": judge.pk},
        },
        "nonce": "once",
    }
    made = client.post("/api/comparisons", body, content_type="application/json")
    assert made.status_code == 201, made.content
    looked = client.get(f"/api/comparisons/{made.json()['id']}").json()
    assert looked["table"] == made.json()["table"]
    twins = {**body, "nonce": "2", "config": {**TWO, "variations": {"a": {}, "b": {}}}}
    refused = client.post("/api/comparisons", twins, content_type="application/json")
    assert refused.status_code == 422
    assert "have the same settings" in refused.json()["error"]
    assert client.get("/api/comparisons/999999").status_code == 404

    file = tmp_path / "comparison.json"
    file.write_text(json.dumps(config))
    words = [f"pairs=artifact:{pairs.pk}", f"generator=base:{generator.name}"]
    inputs = [*words, f"judges:reward=artifact:{judge.pk}"]
    call_command("start_comparison", config=file, input=inputs, user="mia")
    assert "14 runs are queued" in capsys.readouterr().out
    groups = LoopGroup.objects.filter(kind=GroupKind.COMPARISON).order_by("pk")
    kinds = [list(each.runs.order_by("pk").values_list("kind", flat=True)) for each in groups]
    assert kinds[0] == kinds[1] == kinds[2]
    shas = [set(each.runs.filter(kind="alignment").values_list("config_sha")) for each in groups]
    assert shas[0] == shas[1] == shas[2]
    with pytest.raises(CommandError, match="there is no user 'nobody'"):
        call_command("start_comparison", config=file, input=inputs, user="nobody")
