"""People beside a reward model: the ranking, its filters, and what a lead does with it."""

import json
import math
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipelines.scored_world import KEYS, score_set

pytestmark = pytest.mark.django_db

# Rewards by seed, all known exactly. theta is 5, so a difference of 0 is a tie with 2/3.
CLIPS = {0: (0.0, 0.0), 1: (4.0, 0.0), 2: (0.1, 0.0), 3: (-4.0, 0.0)}
P_LOST = 0.003650  # P(B) at a difference of 4 (ML.md 1.2)
P_TIE_AT_4 = 0.080245


@pytest.fixture
def campaign(db: None, settings: Any, tmp_path: Path) -> Any:
    from annotation.campaigns import create_campaign, ensure_built_in_sets

    settings.RUNS_ROOT = tmp_path / "runs"
    ensure_built_in_sets()
    return create_campaign("Spring", "videoalign", votes_wanted=1)


@pytest.fixture
def scores(campaign: Any) -> Any:
    return score_set(CLIPS)


def settled(campaign: Any, a: int, b: int, said: Mapping[str, Any], source: str = "votes") -> int:
    """A complete pair of the clips with these seeds; `said`: a label or a posterior per key."""
    from annotation.importing import create_triplets
    from annotation.models import Consensus, Triplet, Video

    clips = [Video.objects.get(seed=seed) for seed in (a, b)]
    triplet = create_triplets(campaign, [(clips[0].prompt, *clips)])[0]
    for dimension in campaign.dimension_set.dimensions.filter(key__in=said):
        word = said[dimension.key]
        posterior = word if isinstance(word, list) else None
        label = word if posterior is None else None
        Consensus.objects.create(
            triplet=triplet, dimension=dimension, label=label, source=source, posterior=posterior,
            votes=0 if source == "import" else 1,
        )  # fmt: skip
    Triplet.objects.filter(pk=triplet.pk).update(state="complete")
    return int(triplet.pk)


def everywhere(word: Any) -> dict[str, Any]:
    return dict.fromkeys(KEYS, word)


def test_the_pair_whose_label_the_model_found_least_likely_comes_first(
    campaign: Any, scores: Any
) -> None:
    from pipelines.disagreement.ranking import Filters, compare

    agreed = settled(campaign, 1, 0, everywhere("A"))
    wrong = settled(campaign, 0, 3, {"VQ": "B", "MQ": "A", "TA": "A"})
    tied = settled(campaign, 1, 2, everywhere("tie"))
    found = compare(campaign, scores)
    rows, total = found.ranked(Filters())
    assert found.triplet[rows].tolist() == [tied, wrong, agreed]
    at = {pk: found.surprise[n] for n, pk in enumerate(found.triplet.tolist())}
    assert at[wrong][0] == pytest.approx(-math.log(P_LOST), abs=1e-4)
    assert at[agreed][0] == pytest.approx(-math.log(1 - P_LOST - P_TIE_AT_4), abs=1e-5)
    assert total[1] == pytest.approx(at[wrong].sum())
    only = compare(campaign, scores).ranked(Filters(dimension="VQ"))[0]
    assert found.triplet[only].tolist() == [wrong, tied, agreed]


def test_people_who_doubt_as_the_model_foresaw_are_no_surprise(campaign: Any, scores: Any) -> None:
    from pipelines.disagreement.ranking import compare

    settled(campaign, 0, 2, everywhere([0.148966, 0.666016, 0.185018]))
    found = compare(campaign, scores)
    assert found.surprise[0, 0] == pytest.approx(0, abs=0.01)
    settled(campaign, 1, 3, everywhere([1 / 3, 1 / 3, 1 / 3]))
    assert compare(campaign, scores).surprise[1, 0] > 1


def test_filters_keep_what_they_name_and_the_total_counts_nothing_else(
    campaign: Any, scores: Any
) -> None:
    from pipelines.disagreement.overview import overview
    from pipelines.disagreement.ranking import Filters, compare

    opposite = settled(campaign, 0, 3, {"VQ": "B", "MQ": "A", "TA": "A"})
    tie = settled(campaign, 1, 2, {"VQ": "tie", "MQ": "A", "TA": "A"})
    decided = settled(campaign, 0, 2, {"VQ": "A", "MQ": "tie", "TA": "invalid"}, "import")
    found = compare(campaign, scores)

    def triplets(**filters: str) -> list[int]:
        picked: list[int] = found.triplet[found.ranked(Filters(**filters))[0]].tolist()
        return picked

    assert triplets(clash="opposite") == [opposite]
    assert triplets(clash="model_decides") == [tie]
    assert triplets(clash="people_decide") == [decided]
    assert triplets(agreement="imported") == [decided]
    assert triplets(split="test") == [opposite, tie, decided]
    assert triplets(split="train") == []
    _, total = found.ranked(Filters(clash="opposite"))
    assert total.tolist() == [pytest.approx(-math.log(P_LOST), abs=1e-4)]
    assert np.isnan(found.surprise[2, 2])  # invalid says nothing of who is better
    rows = {row.key: row for row in overview(found, Filters())}
    assert (rows["VQ"].triplets, rows["TA"].triplets) == (3, 2)
    assert rows["VQ"].same_word == 0
    assert rows["VQ"].clashes == {
        "opposite": 1, "model_decides": 1, "people_decide": 1, "none": 0,
    }  # fmt: skip


def test_the_mean_is_as_expected_where_the_model_is_right(campaign: Any, scores: Any) -> None:
    """In the pair of clips 1 and 0 the model gives A 0.916105 (ML.md 1.2)."""
    from pipelines.disagreement.overview import overview
    from pipelines.disagreement.ranking import Filters, compare

    settled(campaign, 1, 0, everywhere([0.916105, 0.080245, 0.003650]))
    right = overview(compare(campaign, scores), Filters())[0]
    assert right.mean == pytest.approx(right.expected, abs=1e-5)
    settled(campaign, 0, 3, everywhere([0.003650, 0.080245, 0.916105]))
    wrong = overview(compare(campaign, scores), Filters())[0]
    assert wrong.mean > wrong.expected + 1


def test_a_ruling_weighs_more_than_the_votes_it_overrules(campaign: Any, scores: Any) -> None:
    from annotation.models import Consensus
    from pipelines.disagreement.ranking import Filters, compare

    pair = settled(campaign, 1, 0, everywhere([0.1, 0.1, 0.8]))
    before = compare(campaign, scores).surprise[0, 0]
    Consensus.objects.filter(triplet=pair).update(label="A", source="adjudication")
    found = compare(campaign, scores)
    assert found.surprise[0, 0] < 0.1 < before
    assert len(found.ranked(Filters(agreement="ruled"))[0]) == 1


def test_a_model_that_is_unsure_is_less_surprised(campaign: Any) -> None:
    from pipelines.disagreement.ranking import compare

    sure = score_set(CLIPS)
    settled(campaign, 0, 3, everywhere("B"))
    unsure = score_set({n: (reward, 2.0) for n, (reward, _) in CLIPS.items()}, stored=False)
    silent = score_set(CLIPS, std=False, stored=False)
    costs = [compare(campaign, each).surprise[0, 0] for each in (sure, unsure, silent)]
    assert costs[1] < costs[0] == costs[2]
    assert not compare(campaign, silent).uncertain


def test_open_pairs_and_pairs_without_scores_are_left_out(campaign: Any, scores: Any) -> None:
    from annotation.models import Triplet, Video
    from pipelines.disagreement.ranking import compare
    from pipelines.errors import PipelineError

    with pytest.raises(PipelineError, match="no complete pair of the campaign 'Spring' has both"):
        compare(campaign, scores)
    settled(campaign, 0, 1, everywhere("B"))
    Triplet.objects.filter(pk=settled(campaign, 0, 2, everywhere("A"))).update(state="open")
    other = Video.objects.get(seed=3)
    Video.objects.create(
        prompt=other.prompt, seed=9, file="9.mp4", sha256="9" * 64, fps=8, num_frames=9,
        width=64, height=64, duration=1,
    )  # fmt: skip
    settled(campaign, 0, 9, everywhere("A"))
    found = compare(campaign, scores)
    assert (len(found.triplet), found.not_scored) == (1, 1)


@pytest.fixture
def lead(client: Any, django_user_model: Any) -> Any:
    from django.contrib.auth.models import Group

    from annotation.permissions import LEAD

    user = django_user_model.objects.create_user("lead")
    user.groups.add(Group.objects.get_or_create(name=LEAD)[0])
    client.force_login(user)
    return user


def test_the_page_shows_both_clips_and_a_plan_before_anything_is_written(
    campaign: Any, scores: Any, client: Any, lead: Any
) -> None:
    from annotation.models import Campaign

    wrong = settled(campaign, 0, 3, {"VQ": "B", "MQ": "A", "TA": "A"})
    page = f"/artifacts/{scores.pk}/disagreement/"
    assert page in client.get(f"/artifacts/{scores.pk}/").content.decode()
    assert "Spring" in client.get(page).content.decode()
    shown = client.get(page, {"campaign": campaign.pk})
    text = shown.content.decode()
    assert [each.triplet for each in shown.context["cards"]] == [wrong]
    assert text.count("<video") == 2
    assert "two winners" in text
    asked = {"campaign": campaign.pk, "way": "relabel", "votes": 1, "triplet": wrong}
    planned = client.get(f"{page}send", asked)
    assert (planned.context["plan"].pairs, planned.context["plan"].short_of_people) == (1, 1)
    assert Campaign.objects.count() == 1
    answer = client.post(f"{page}send", {**asked, "name": "Autumn"})
    made = Campaign.objects.get(name="Autumn")
    assert (answer.status_code, answer["Location"]) == (302, f"/campaigns/{made.pk}/plan/")
    assert made.state == "draft"
    assert made.triplets.count() == 1


def test_the_first_of_the_ranking_go_where_nothing_is_ticked(
    campaign: Any, scores: Any, client: Any, lead: Any
) -> None:
    from annotation.models import Flag

    settled(campaign, 1, 0, everywhere("A"))
    wrong = settled(campaign, 0, 3, everywhere("B"))
    address = f"/artifacts/{scores.pk}/disagreement/send"
    answer = client.post(address, {"campaign": campaign.pk, "way": "adjudicate", "first": 1})
    assert answer["Location"] == f"/campaigns/{campaign.pk}/adjudicate/"
    assert list(Flag.objects.values_list("triplet", flat=True)) == [wrong]
    for bad in (
        {"way": "burn", "first": 1},
        {"way": "relabel"},
        {"way": "relabel", "triplet": "x"},
        {"way": "relabel", "first": 99999},
        {"way": "adjudicate", "triplet": wrong},
        {"way": "more_votes", "triplet": wrong, "votes": "many"},
        {"way": "relabel", "first": 1, "dimension": "XX"},
    ):
        refused = client.post(address, {"campaign": campaign.pk, **bad})
        assert refused["Location"] == f"/artifacts/{scores.pk}/disagreement/"
    assert Flag.objects.count() == 1


def test_new_pairs_are_of_the_prompts_that_were_chosen(
    campaign: Any, client: Any, lead: Any
) -> None:
    scores = score_set({n: (reward, 1.5) for n, (reward, _) in CLIPS.items()})
    settled(campaign, 0, 3, everywhere("B"))

    def ask(**body: Any) -> Any:
        given = {"campaign": campaign.pk, "way": "new_pairs", "first": 1, **body}
        return client.post(
            f"/api/scores/{scores.pk}/disagreement", json.dumps(given), "application/json"
        )

    planned = ask(budget=2).json()
    assert (planned["plan"]["pairs"], planned["created"]) == (2, 0)
    assert ask(budget=2, create=True).json()["created"] == 2
    assert campaign.triplets.filter(state="open").count() == 2
    campaign.state = "closed"
    campaign.save()
    assert "is closed and takes no pairs" in ask().json()["error"]


def test_the_door_ranks_and_sends_for_leads_alone(
    campaign: Any, scores: Any, client: Any, lead: Any, django_user_model: Any
) -> None:
    wrong = settled(campaign, 0, 3, {"VQ": "B", "MQ": "A", "TA": "A"})
    settled(campaign, 1, 0, everywhere("A"))
    door = f"/api/scores/{scores.pk}/disagreement"
    answer = client.get(door, {"campaign": campaign.pk, "limit": 1}).json()
    assert (answer["total"], answer["next_offset"], answer["not_scored"]) == (2, 1, 0)
    row = answer["results"][0]
    assert (row["triplet"], row["rank"], row["prompt"]) == (wrong, 1, "a cat")
    assert row["words"][0]["people"] == [0.0, 0.0, 1.0]
    assert row["words"][0]["clash"] == "opposite"
    assert row["a_url"].startswith("/v/")
    for query in ({"limit": 5000}, {"clash": "loud"}, {"colour": "red"}):
        assert client.get(door, {"campaign": campaign.pk, **query}).status_code == 400
    assert client.get(door, {"campaign": campaign.pk, "dimension": "XX"}).status_code == 422
    assert client.get(door, {"campaign": 10**6}).status_code == 404

    def ask(**body: Any) -> Any:
        given = {"campaign": campaign.pk, "way": "relabel", "triplets": [wrong], **body}
        return client.post(door, json.dumps(given), "application/json")

    planned = ask(votes=2).json()
    assert planned["plan"] == {
        "way": "relabel", "chosen": 1, "pairs": 1, "votes": 2, "left_out": {},
        "short_of_people": 1,
    }  # fmt: skip
    assert (planned["created"], planned["campaign"]) == (0, campaign.pk)
    made = ask(create=True).json()
    assert made["created"] == 1
    assert made["campaign"] != campaign.pk
    assert ask(first=3).status_code == 400
    assert ask(way="burn").status_code == 400
    client.force_login(django_user_model.objects.create_user("somebody"))
    assert client.get(door, {"campaign": campaign.pk}).status_code == 403
    assert ask().status_code == 403
    assert client.get(f"/artifacts/{scores.pk}/disagreement/").status_code == 403


def test_a_reward_model_scores_what_people_judged_by_one_click(
    campaign: Any, client: Any, lead: Any, django_user_model: Any
) -> None:
    from django.contrib.auth.models import Group

    from annotation.permissions import ML_ENGINEER
    from pipelines.models import Run, RunInput
    from tests.pipelines.scored_world import artifact

    model = artifact("reward_model", theta={})
    page = f"/artifacts/{model.pk}/score-judged"
    assert client.post(page).status_code == 403
    lead.groups.add(Group.objects.get_or_create(name=ML_ENGINEER)[0])
    assert client.post(page)["Location"] == f"/artifacts/{model.pk}/"
    assert not Run.objects.filter(kind="judged_clips").exists()
    snapshot = artifact("snapshot")
    RunInput.objects.create(run=model.run, role="snapshot", artifact=snapshot)
    answer = client.post(page)
    clips, scoring = Run.objects.get(kind="judged_clips"), Run.objects.get(kind="scoring")
    assert answer["Location"] == f"/runs/{scoring.pk}/"
    assert clips.inputs.get(role="snapshot").artifact == snapshot
    assert scoring.inputs.get(role="generations").producer == clips
    assert scoring.inputs.get(role="reward_model").artifact == model
    assert client.post(page)["Location"] == answer["Location"]  # pressed twice, started once
    assert Run.objects.filter(kind="scoring").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_start_one_scoring(
    campaign: Any, lead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection

    from pipelines.disagreement import judged_scores as door
    from pipelines.models import Run, RunInput
    from tests.pipelines.scored_world import artifact

    model, snapshot = artifact("reward_model", theta={}), artifact("snapshot")
    RunInput.objects.create(run=model.run, role="snapshot", artifact=snapshot)
    both, start, found = threading.Barrier(2), door.start_run, []

    def started(kind: str, *words: Any, **more: Any) -> Run:
        if kind == "judged_clips":
            with suppress(threading.BrokenBarrierError):
                both.wait(0.5)  # the other one starts as well, where nothing holds it back
        return start(kind, *words, **more)

    def click() -> None:
        found.append(door.judged_scores(model, lead).pk)
        connection.close()

    monkeypatch.setattr(door, "start_run", started)
    clicks = [threading.Thread(target=click) for _ in range(2)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()
    scoring = Run.objects.get(kind="scoring")
    assert found == [scoring.pk] * 2
    assert Run.objects.filter(kind="judged_clips").count() == 1


def test_the_command_ranks_says_what_it_would_ask_and_sends(
    campaign: Any, scores: Any, lead: Any
) -> None:
    import io

    from django.core.management import CommandError, call_command

    from annotation.models import Campaign

    wrong = settled(campaign, 0, 3, {"VQ": "B", "MQ": "A", "TA": "A"})
    settled(campaign, 1, 0, everywhere("A"))

    def told(*more: str) -> str:
        out = io.StringIO()
        call_command("rank_disagreements", "Spring", "--scores", str(scores.pk), *more, stdout=out)
        return out.getvalue()

    assert told("--first", "1") == (
        f"1: pair {wrong}: 5.79 (VQ 5.61 opposite, MQ 0.09 none, TA 0.09 none)\n"
    )
    send = ("--first", "1", "--send", "relabel", "--votes", "2")
    assert told(*send) == "pairs: 1\nvotes: 2\nshort of people: 1\n"
    assert Campaign.objects.count() == 1
    with pytest.raises(CommandError, match="--create needs --user"):
        told(*send, "--create")
    made = told(*send, "--create", "--user", "lead", "--name", "Autumn")
    assert made.endswith(f"sent: 1 to campaign {Campaign.objects.get(name='Autumn').pk}\n")
    with pytest.raises(CommandError, match="dimension must be one of VQ, MQ, TA, got 'XX'"):
        told("--dimension", "XX")
    with pytest.raises(CommandError, match="there is no artifact 999"):
        call_command("rank_disagreements", "Spring", "--scores", "999")
