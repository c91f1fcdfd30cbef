"""From the scores of a reward model to questions: the command, the door, what they refuse."""

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.pipelines.scored_world import KEYS, score_set

pytestmark = pytest.mark.django_db

# By seed: reward and deviation. 0, 1 and 5 are doubts, 2 is a known winner, 3 and 4 are known
# equals.
CLIPS = {0: (0.0, 1.5), 1: (0.3, 1.5), 2: (9.0, 0.05), 3: (-9.0, 0.05), 4: (-9.0, 0.05),
         5: (-0.4, 1.0)}  # fmt: skip


@pytest.fixture
def campaign(db: None, settings: Any, tmp_path: Path) -> Any:
    from annotation.campaigns import create_campaign, ensure_built_in_sets

    settings.RUNS_ROOT = tmp_path / "runs"
    ensure_built_in_sets()
    return create_campaign("New votes", "videoalign", votes_wanted=3)


@pytest.fixture
def scored(campaign: Any) -> Callable[..., Any]:
    """Scores of five clips of one prompt that are registered here."""
    return partial(score_set, CLIPS)


def _planned(*args: Any) -> dict[str, str]:
    out = io.StringIO()
    call_command("plan_doubtful_pairs", *map(str, args), stdout=out)
    return dict(line.split(": ", 1) for line in out.getvalue().splitlines())


def test_the_pair_of_which_the_model_knows_least_is_asked_and_no_known_tie(
    campaign: Any, scored: Callable[..., Any]
) -> None:
    scores = scored()
    planned = _planned("New votes", "--scores", scores.pk, "--budget", 1)
    assert (planned["pairs"], planned["votes"]) == ("1", "3")
    assert not campaign.triplets.exists()
    created = _planned(campaign.pk, "--scores", scores.pk, "--budget", 1, "--create")
    assert created["created"] == "1"
    triplet = campaign.triplets.get()
    assert {triplet.video_a.seed, triplet.video_b.seed} == {0, 1}
    everything = _planned("New votes", "--scores", scores.pk, "--budget", 50, "--create")
    asked = {frozenset((row.video_a.seed, row.video_b.seed)) for row in campaign.triplets.all()}
    assert everything["created"] == "2"
    assert asked == {frozenset((0, 1)), frozenset((0, 5)), frozenset((1, 5))}


def test_known_winners_and_known_equals_are_not_asked(
    campaign: Any, scored: Callable[..., Any]
) -> None:
    from annotation.designs import Wish
    from annotation.models import Video
    from annotation.statistics.strategies import Strategy
    from pipelines.disagreement.doubts import propose_from_scores

    proposal = propose_from_scores(campaign, scored(), Wish(Strategy.ACTIVE, budget=50))
    seeds = {str(video.pk): video.seed for video in Video.objects.all()}
    order = [{seeds[each.clip] for each in pick} for pick in proposal.picks]
    assert order[0] == {0, 1}
    assert len(order) == 3
    assert {3, 4} not in order  # the likeliest answer is a tie, and it tells nothing
    assert {2, 3} not in order  # nobody has to be asked which of these is better


def test_the_door_plans_and_creates_for_leads_alone(
    campaign: Any, scored: Callable[..., Any], client: Any, django_user_model: Any
) -> None:
    from django.contrib.auth.models import Group

    from annotation.permissions import LEAD

    scores = scored()
    user = django_user_model.objects.create_user("lead")
    client.force_login(user)

    def ask(pk: int = scores.pk, **body: Any) -> Any:
        given = {"campaign": campaign.pk, "budget": 2, **body}
        return client.post(f"/api/scores/{pk}/pairs", json.dumps(given), "application/json")

    assert ask().status_code == 403
    user.groups.add(Group.objects.get_or_create(name=LEAD)[0])
    planned = ask().json()
    assert (planned["plan"]["pairs"], planned["created"]) == (2, 0)
    assert ask(create=True, priority=5).json()["created"] == 2
    assert set(campaign.triplets.values_list("priority", flat=True)) == {5}
    assert ask(10**6).status_code == 404
    for body, status in (
        ({"budget": "two"}, 400),
        ({"budget": None}, 400),
        ({"budget": 0}, 400),
        ({"strategy": "all"}, 400),  # an entry that nobody described
        ({"campaign": 10**6}, 404),
        ({"generators": ["nobody"]}, 422),
    ):
        assert ask(**body).status_code == status, body
    unsure = ask(scores.run.inputs.get(role="generations").artifact_id)
    assert unsure.status_code == 422
    assert "is generations, not scores" in unsure.json()["error"]


def test_the_page_shows_the_plan_first_and_then_asks(
    campaign: Any, scored: Callable[..., Any], client: Any, django_user_model: Any
) -> None:
    from django.contrib.auth.models import Group

    from annotation.permissions import LEAD, ML_ENGINEER

    scores = scored()
    page = f"/artifacts/{scores.pk}/pairs/"
    user = django_user_model.objects.create_user("lead")
    user.groups.add(Group.objects.get_or_create(name=ML_ENGINEER)[0])
    client.force_login(user)
    assert client.get(page).status_code == 403
    user.groups.add(Group.objects.get_or_create(name=LEAD)[0])
    scores.meta = {"reward_model": "0" * 64}
    scores.save()
    assert page in client.get(f"/artifacts/{scores.pk}/").content.decode()
    assert "New votes" in client.get(page).content.decode()
    given = {"campaign": campaign.pk, "budget": 1, "seed": 0}
    planned = client.get(page, given)
    pair = planned.context["pairs"][0]
    assert {pair.a.seed, pair.b.seed} == {0, 1}
    assert [doubt.key for doubt in pair.doubts] == list(KEYS)
    assert abs(pair.doubts[0].difference) == pytest.approx(0.3)
    assert pair.doubts[0].deviation == pytest.approx(1.5 * 2**0.5)
    assert sum(pair.doubts[0].chances) == pytest.approx(1)
    assert "Ask about 1 pair in New votes" in planned.content.decode()
    assert not campaign.triplets.exists()
    answer = client.post(page, given)
    assert (answer.status_code, answer["Location"]) == (302, f"/campaigns/{campaign.pk}/plan/")
    assert campaign.triplets.count() == 1
    for bad in ({"budget": 0}, {"campaign": 10**8}, {"budget": "many"}):
        assert "notice-bad" in client.get(page, {**given, **bad}).content.decode()
    assert client.post(page, {**given, "budget": ""}).status_code == 302
    assert campaign.triplets.count() == 1
    model = scores.run.inputs.get(role="reward_model").artifact
    assert client.get(f"/artifacts/{model.pk}/pairs/").status_code == 404


def test_rewards_meet_theta_on_the_scale_that_calibration_found(
    campaign: Any, scored: Callable[..., Any]
) -> None:
    from pipelines.disagreement.doubts import beliefs_from

    scores = scored()
    model = scores.run.inputs.get(role="reward_model").artifact
    plain = beliefs_from(campaign, scores)
    for place in ({"calibration": {"temperature": {"VQ": 2.0}}}, {"temperature": {"VQ": 2.0}}):
        model.meta = {"theta": dict.fromkeys(KEYS, 5.0), **place}
        model.save()
        found = beliefs_from(campaign, scores)
        assert (found.mean[:, 0] * 2 == plain.mean[:, 0]).all()
        assert found.variance[:, 0] * 4 == pytest.approx(plain.variance[:, 0])
        assert (found.mean[:, 1:] == plain.mean[:, 1:]).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"std": False}, "these scores do not say how sure the reward model is; train one with"),
        ({"theta": {"XX": 5.0}}, "the reward model judges XX; the campaign asks for VQ, MQ, TA"),
        ({"theta": {}}, "the reward model judges no known dimension"),
        ({"stored": False}, "none of the clips of scores"),
    ],
)
def test_scores_that_cannot_tell_are_refused(
    campaign: Any, scored: Callable[..., Any], options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        _planned("New votes", "--scores", scored(**options).pk, "--budget", 5)


def test_other_artifacts_and_single_campaigns_are_refused(
    campaign: Any, scored: Callable[..., Any]
) -> None:
    from annotation.campaigns import create_campaign

    scores = scored()
    model = scores.run.inputs.get(role="reward_model").artifact
    with pytest.raises(CommandError, match="is reward_model, not scores"):
        _planned("New votes", "--scores", model.pk, "--budget", 5)
    with pytest.raises(CommandError, match="there is no artifact 999999"):
        _planned("New votes", "--scores", 999999, "--budget", 5)
    create_campaign("Alone", "videoalign", votes_wanted=1, kind="single")
    with pytest.raises(CommandError, match="the campaign 'Alone' scores clips alone"):
        _planned("Alone", "--scores", scores.pk, "--budget", 5)


def others(scores: Any, count: int) -> list[Any]:
    """Further models that scored the same clips: they differ on clips 3 and 4, and nowhere else."""
    clips = scores.run.inputs.get(role="generations").artifact
    same = {seed: (reward, 0.0) for seed, (reward, _) in CLIPS.items()}
    return [
        score_set({**same, 3: (-9.0 + n, 0.0)}, std=False, stored=False, generations=clips)
        for n in range(count)
    ]


def test_a_committee_asks_about_what_its_members_differ_on(
    campaign: Any, scored: Callable[..., Any]
) -> None:
    scores = scored()
    further = [each.pk for each in others(scores, 4)]
    planned = _planned(
        *("New votes", "--scores", scores.pk, "--budget", 1, "--create"),
        *("--committee", *further),
    )
    assert planned["pairs"] == "1"
    triplet = campaign.triplets.get()
    assert {triplet.video_a.seed, triplet.video_b.seed} == {3, 4}  # known equals to the first alone


def test_the_page_offers_models_that_scored_the_same_clips(
    campaign: Any, scored: Callable[..., Any], client: Any, django_user_model: Any
) -> None:
    user = django_user_model.objects.create_superuser("olga")
    client.force_login(user)
    scores = scored()
    score_set({7: (0.0, 0.0), 8: (1.0, 0.0)})  # of other clips
    further = [str(each.pk) for each in others(scores, 4)]
    page, given = f"/artifacts/{scores.pk}/pairs/", {"campaign": campaign.pk, "budget": 1}
    offered = client.get(page).context["companions"]
    assert sorted(str(each.pk) for each in offered) == sorted(further)
    shown = client.get(page, {**given, "committee": further})
    assert {shown.context["pairs"][0].a.seed, shown.context["pairs"][0].b.seed} == {3, 4}
    few = client.get(page, {**given, "committee": further[:2]})
    assert "a committee has at least 4 score sets of different" in few.content.decode()
    wrong = client.get(page, {**given, "committee": "0"})
    assert "Choose score sets of the same clips" in wrong.content.decode()
    client.post(page, {**given, "committee": further})
    assert campaign.triplets.get().video_a.seed in {3, 4}


def test_a_committee_by_the_door_needs_clips_in_common(
    campaign: Any, scored: Callable[..., Any], client: Any, django_user_model: Any
) -> None:
    client.force_login(django_user_model.objects.create_superuser("olga"))
    scores = scored()

    def ask(committee: list[int]) -> Any:
        given = {"campaign": campaign.pk, "budget": 1, "committee": committee}
        return client.post(f"/api/scores/{scores.pk}/pairs", json.dumps(given), "application/json")

    assert ask([each.pk for each in others(scores, 3)]).json()["plan"]["pairs"] == 1
    assert ask([10**6]).status_code == 404
    foreign = [score_set({seed: (1.0, 0.0)}).pk for seed in (20, 21, 22)]
    refused = ask(foreign)
    assert refused.status_code == 422
    assert "have no dimension, or no clip, in common" in refused.json()["error"]
