"""Pairs are looked at before a generator is trained on them: the page, the door, the ways there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.conf import settings
from django.test import Client

from formats.files import write_jsonl
from formats.records import ImageRef, PairRecord, VideoRef
from pipelines.models import Artifact, BaseModel, Run, RunState
from pipelines.pairs.figures import dimensions_of, histogram, tilts_of
from pipelines.pairs.files import write_pairs
from pipelines.pairs.rules import Fault, Pairing, PairingConfig, Refusal, summary_of
from pipelines.rewards.maps import fitted
from pipelines.views.shapes_pairs import PAIR_SET

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]

COUNT = 15


def _clip(number: int, side: str) -> VideoRef:
    sha256 = f"{number:03x}{side}".ljust(64, "0")
    return VideoRef(f"{number}{side}", "x.mp4", sha256, 8.0, 9, "tiny", 7 if side == "a" else 8)


def _pair(number: int, **changes: Any) -> PairRecord:
    values: dict[str, Any] = {
        "pair_id": f"pair{number:03}",
        "prompt_id": f"p{number}",
        "prompt": f"a cat number {number}",
        "split": "train",
        "chosen": _clip(number, "a"),
        "rejected": _clip(number, "b"),
        "gap": 0.5 + number,
        "reward_w": 0.9,
        "reward_l": 0.1,
        "source": "rewards",
        "rewards_w": {"VQ": 1.0 + number, "TA": 0.5},
        "rewards_l": {"VQ": 0.0, "TA": 1.0},
    }
    return PairRecord(**{**values, **changes})


def _artifact(write: Any, **meta: Any) -> Artifact:
    run = Run.objects.create(
        kind="pairing", name="Pairs of cats", config={}, config_sha="", state=RunState.SUCCEEDED
    )
    path = Path(settings.RUNS_ROOT) / str(run.pk) / "outputs/pairs"
    path.parent.mkdir(parents=True)
    sha256 = write(path)
    return Artifact.objects.create(
        run=run, kind="pairs", path=f"{run.pk}/outputs/pairs", sha256=sha256, meta=meta
    )


@pytest.fixture
def videos(db: None) -> None:
    from annotation.models import Generator, Prompt, Video

    maker = Generator.objects.create(name="tiny")
    Video.objects.bulk_create(
        Video(
            prompt=Prompt.objects.for_text(f"a cat number {number}"), generator=maker,
            seed=clip.seed, file="x.mp4", sha256=clip.sha256, fps=8, num_frames=9, width=64,
            height=64, duration=1.1, withdrawn=clip.id == "14b",
        )
        for number in range(COUNT + 2) for clip in (_clip(number, "a"), _clip(number, "b"))
    )  # fmt: skip


@pytest.fixture
def pairs(videos: None) -> Artifact:
    found = Pairing([_pair(n) for n in range(COUNT)])
    found.pairs[1] = _pair(1, rejected=replace(_clip(1, "b"), generator="other"))
    found.pairs[3] = _pair(3, source="votes", gap=0.4, shares_w={"VQ": 0.7}, reward_l=0.95)
    found.left_out["clip of another split"] += 4
    sides = (_clip(COUNT, "a"), _clip(COUNT, "b"))
    found.refuse(Refusal(Fault("duration differs", "2 s against 4 s"), "a cat number 15", *sides))
    found.refuse(Refusal(Fault("tie"), "a cat number 16", *sides, source="votes"))
    summary = {**summary_of(found, PairingConfig()), "watermark_not_visible": 5}
    reward_map = fitted([0.0, 1.0, 2.0], "quantile", fitted_on="validation")
    return _artifact(lambda path: write_pairs(path, found, reward_map, summary), **summary)


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_both_clips_stand_side_by_side_named_and_playable(pairs: Artifact, mia: Any) -> None:
    answer = _as(mia).get(f"/pairs/{pairs.pk}/")
    cards = answer.context["cards"]
    assert len(cards) == 12
    # The narrowest first: the one of people has a gap of 0.4.
    assert [each.prompt for each in cards[:3]] == [f"a cat number {n}" for n in (3, 0, 1)]
    first = cards[1]
    assert [(side.label, side.value) for side in first.sides] == [
        ("Chosen", "0.900"), ("Rejected", "0.100"),
    ]  # fmt: skip
    assert first.columns == ("chosen", "rejected", "difference")
    assert first.rows == (("TA", ("0.50", "1.00", "-0.50")), ("VQ", ("1.00", "0.00", "+1.00")))
    assert first.words == "gap 0.500, by rewards"
    by_people = cards[0]
    assert by_people.warning == "the rewards contradict the people"
    assert by_people.columns[-1] == "people for it"
    assert [cells[-1] for _, cells in by_people.rows] == ["–", "70\N{NO-BREAK SPACE}%"]
    page = answer.content.decode()
    for side in first.sides:
        assert side.clip.url.startswith("/v/")
        assert side.clip.poster.startswith("/p/")
        assert side.clip.url.replace("&", "&amp;") in page


def test_the_figures_of_the_whole_set_stand_first(pairs: Artifact, lee: Any) -> None:
    answer = _as(lee).get(f"/pairs/{pairs.pk}/")
    context = answer.context
    stats = {each.label: (each.value, each.note) for each in context["stats"]}
    assert stats["Pairs"] == ("15", "1 by people, 14 by rewards")
    assert stats["Contradicted"][0] == "1"
    assert stats["Watermark unknown"][0] == "5"
    assert [each.title.split(":")[0] for each in context["gaps"]] == [
        "How far apart by rewards", "How far apart by people",
    ]  # fmt: skip
    assert [(row.label, row.after) for row in context["differences"].rows] == [
        ("TA", "0\N{NO-BREAK SPACE}%"), ("VQ", "100\N{NO-BREAK SPACE}%"),
    ]  # fmt: skip
    assert context["map_chart"].curves
    page = answer.content.decode()
    assert "A quantile map of 3 knots, fitted on the totals of 3 clips of validation" in page
    rows = {
        each.reason: (each.refused, each.replaced, each.examples) for each in context["refused"]
    }
    assert rows == {"duration differs": (1, 0, 1), "tie": (1, 0, 1)}
    assert context["left_out"] == {"clip of another split": 4}
    assert [each.what for each in context["tilts"]] == ["made by other", "made by tiny"]


def test_pairs_come_in_pages_by_part_and_order(pairs: Artifact, mia: Any) -> None:
    client = _as(mia)

    def shown(**query: Any) -> list[str]:
        cards = client.get(f"/pairs/{pairs.pk}/", query).context["cards"]
        return [each.prompt.removeprefix("a cat number ") for each in cards]

    assert shown(page=2) == ["12", "13", "14"]
    assert shown(order="widest")[:2] == ["14", "13"]
    assert shown(order="stored")[:2] == ["0", "1"]
    assert shown(part="people") == ["3"]
    assert shown(part="contradicted") == ["3"]
    assert shown(part="nobody", order="'", page="x") == shown()
    assert shown(refused="no such reason") == []


def test_what_was_refused_can_be_looked_at_with_its_reason(pairs: Artifact, mia: Any) -> None:
    client = _as(mia)
    (card,) = client.get(f"/pairs/{pairs.pk}/", {"refused": "duration differs"}).context["cards"]
    assert (card.words, card.warning) == ("duration differs", "2 s against 4 s")
    assert [side.label for side in card.sides] == ["Better, by rewards", "Worse, by rewards"]
    assert all(side.clip for side in card.sides)
    (tie,) = client.get(f"/pairs/{pairs.pk}/", {"refused": "tie"}).context["cards"]
    assert [side.label for side in tie.sides] == ["A", "B"]


def test_a_clip_that_was_withdrawn_is_not_played(pairs: Artifact, mia: Any) -> None:
    answer = _as(mia).get(f"/pairs/{pairs.pk}/", {"order": "widest"})
    assert [bool(side.clip) for side in answer.context["cards"][0].sides] == [True, False]
    assert "This clip was withdrawn" in answer.content.decode()


def test_a_page_of_pairs_asks_a_few_questions_however_many_there_are(
    pairs: Artifact, mia: Any, django_assert_num_queries: Any
) -> None:
    client = _as(mia)
    client.get(f"/pairs/{pairs.pk}/")
    # Session, person with groups, the artifact with its run, the clips; on pages the notices, and
    # in the data that leave the site their entry in the audit log.
    with django_assert_num_queries(5):
        client.get(f"/pairs/{pairs.pk}/")
    with django_assert_num_queries(5):
        client.get(f"/pairs/{pairs.pk}/", {"refused": "tie"})
    with django_assert_num_queries(5):
        client.get(f"/api/pairs/{pairs.pk}")
    with django_assert_num_queries(5):  # one counts them
        client.get("/pairs/")


@pytest.mark.parametrize("page", ["pairs/", "pairs/{}/", "api/pairs/{}"])
def test_only_leads_and_engineers_see_pairs(
    page: str, pairs: Artifact, alice: Any, charlie: Any, lee: Any, mia: Any
) -> None:
    path = "/" + page.format(pairs.pk)
    codes = [_as(who).get(path).status_code for who in (alice, charlie, lee, mia)]
    assert codes == [403, 403, 200, 200]
    assert Client().get(path).status_code in {302, 401}
    assert _as(mia).post(path).status_code in {403, 405}


def test_the_ways_to_the_preview(pairs: Artifact, mia: Any, client: Client) -> None:
    client.force_login(mia)
    way = f"/pairs/{pairs.pk}/"
    assert f'href="{way}"' in client.get("/pairs/").content.decode()
    assert f'href="{way}"' in client.get(f"/runs/{pairs.run_id}/").content.decode()
    assert f'href="{way}"' in client.get(f"/artifacts/{pairs.pk}/").content.decode()
    BaseModel.objects.create(name="wan", role="generator", source="x/wan")
    form = client.get("/admin/pipelines/run/add/", {"kind": "alignment"}).content.decode()
    assert 'data-pairs-of="id_pairs"' in form
    assert 'data-page="/pairs/0/"' in form
    assert "js/chosen-pairs.js" in form
    other = client.get("/admin/pipelines/run/add/", {"kind": "snapshot"}).content.decode()
    assert "chosen-pairs" not in other


def test_a_program_reads_the_same_preview(pairs: Artifact, mia: Any) -> None:
    client = _as(mia)
    found = client.get(f"/api/pairs/{pairs.pk}", {"limit": 10, "order": "widest"}).json()
    assert (found["sha256"], found["summary"]["pairs"]) == (pairs.sha256, COUNT)
    assert found["parts"] == {"all": 15, "people": 1, "rewards": 14, "contradicted": 1}
    assert [each["pair_id"] for each in found["pairs"][:2]] == ["pair014", "pair013"]
    assert found["pairs"][1]["chosen_url"].startswith("/v/")
    assert found["pairs"][0]["rejected_url"] == ""  # withdrawn
    assert found["next_offset"] == 10
    rest = client.get(f"/api/pairs/{pairs.pk}", {"offset": 10, "order": "widest"}).json()
    assert len(rest["pairs"]) == 5
    assert rest["next_offset"] is None
    assert found["reward_map"]["knots"] == [[0.0, 1 / 6], [1.0, 0.5], [2.0, 5 / 6]]
    assert sum(found["gaps"]["rewards"]["counts"]) == 14
    assert {each["reason"]: each["detail"] for each in found["refused"]} == {
        "duration differs": "2 s against 4 s", "tie": "",
    }  # fmt: skip
    assert [each["key"] for each in found["dimensions"]] == ["TA", "VQ"]
    assert found["shares"][0]["mean"] == pytest.approx(0.2)


def test_the_door_sends_what_its_schema_says(pairs: Artifact, mia: Any) -> None:
    image = ImageRef("images/aa/aa", "a" * 64)
    with_image = Pairing([_pair(0, image=image)])
    other = _artifact(lambda path: write_pairs(path, with_image, None, {}))
    for each in (pairs, other):
        found = _as(mia).get(f"/api/pairs/{each.pk}").json()
        jsonschema.Draft202012Validator(PAIR_SET).validate(found)
    assert found["pairs"][0]["image"] == {"path": "images/aa/aa", "sha256": "a" * 64}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(PAIR_SET).validate({**found, "pairs": [{}]})


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ({"limit": 1001}, 400, "limit must be at most 1000, got 1001"),
        ({"limit": "x"}, 400, "limit must be a whole number"),
        ({"part": "x"}, 400, "part must be one of all, people, rewards, contradicted"),
        ({"colour": "red"}, 400, "unknown entry 'colour'"),
    ],
)
def test_a_question_that_nobody_understands_is_refused(
    query: dict[str, Any], status: int, sentence: str, pairs: Artifact, mia: Any
) -> None:
    answer = _as(mia).get(f"/api/pairs/{pairs.pk}", query)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_other_artifacts_and_damaged_pairs_say_so(pairs: Artifact, mia: Any) -> None:
    client = _as(mia)
    scores = Artifact.objects.create(run=pairs.run, kind="scores", path="x", sha256="", meta={})
    for pk in (scores.pk, 10**6):
        assert client.get(f"/pairs/{pk}/").status_code == 404
        assert client.get(f"/api/pairs/{pk}").status_code == 404
    file = Path(settings.RUNS_ROOT) / pairs.path / "pairs.jsonl"
    file.write_text(file.read_text()[:-40])
    page, door = client.get(f"/pairs/{pairs.pk}/"), client.get(f"/api/pairs/{pairs.pk}")
    assert (page.status_code, door.status_code) == (422, 422)
    assert "pairs.jsonl:16: not JSON" in page.content.decode()
    assert "pairs.jsonl:16: not JSON" in door.json()["error"]


def test_a_set_of_an_earlier_version_is_shown_without_map_and_reasons(
    videos: None, mia: Any
) -> None:
    def write(path: Path) -> str:
        row = _pair(0).to_json()
        del row["rewards_w"], row["rewards_l"], row["shares_w"]
        return write_jsonl(path, PairRecord.SCHEMA, [row])

    old = _artifact(write, pairs=1, refused={"gap below the minimum": 2})
    answer = _as(mia).get(f"/pairs/{old.pk}/")
    assert answer.status_code == 200
    assert answer.context["reward_map"] is None
    assert answer.context["refused"][0].examples == 0
    assert len(answer.context["cards"]) == 1


def test_what_a_generator_could_learn_instead_of_quality_is_counted() -> None:
    long = replace(_clip(0, "a"), generator="wan", num_frames=20)
    short = replace(_clip(0, "b"), generator="kling")
    twice = [_pair(0, chosen=long, rejected=short), _pair(1, chosen=long, rejected=short)]
    once = _pair(2, chosen=short, rejected=long)
    fast = _pair(3, chosen=replace(_clip(3, "a"), fps=16.0, num_frames=18))
    rows = [(each.what, each.pairs, each.chosen) for each in tilts_of([*twice, once, fast])]
    assert rows == [
        ("made by kling", 3, 1), ("made by wan", 3, 2), ("the longer one", 3, 2),
        ("the higher frame rate", 1, 1),
    ]  # fmt: skip
    assert tilts_of([_pair(0)]) == []


def test_one_histogram_bin_for_equal_gaps_and_quartiles_by_hand() -> None:
    assert histogram([2.0, 2.0]) == ([2], [1.5, 2.5])
    # Differences of VQ: 1, 2, 3, 4, 5; of TA always -0.5.
    rows = {each.key: each for each in dimensions_of([_pair(n) for n in range(5)])}
    vq = rows["VQ"]
    assert (vq.mean, vq.low, vq.median, vq.high, vq.better) == (3.0, 2.0, 3.0, 4.0, 1.0)
    assert rows["TA"].better == 0.0
    assert json.dumps(rows["TA"].mean) == "-0.5"
