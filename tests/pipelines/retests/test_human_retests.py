"""A human re-test from two sets of clips to its result; people vote as they do at the page."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from annotation.campaigns import close_campaign, ensure_built_in_sets
from annotation.cloning import clone_campaign
from annotation.errors import CampaignError
from annotation.importing import create_triplets
from annotation.models import (
    AuditEntry,
    Campaign,
    CampaignKind,
    CampaignState,
    Cursor,
    Lease,
    Prompt,
    Stage,
    Triplet,
    Video,
)
from annotation.retests import BlindWish
from annotation.voting import settle_by_adjudication
from formats.errors import FormatError
from formats.files import read_json
from formats.supervised import Supervised
from pipelines import launching, lifecycle
from pipelines.errors import InvalidRunConfig
from pipelines.models import (
    Artifact,
    BaseModel,
    GroupKind,
    LoopGroup,
    PeopleWait,
    Run,
    Suite,
    SuitePrompt,
)
from pipelines.registry import path_of
from pipelines.retests import campaigns as retest_campaigns
from pipelines.retests import people_waits
from pipelines.retests.campaigns import RETEST, RetestConfig
from pipelines.retests.result import HumanTest
from pipelines.retests.starting import start_retest
from pipelines.starting import start_run
from pipelines.waiting import waiting_for
from tests.pipelines.loop_world import play
from tests.pipelines.retests.retest_world import always, clip_set, opened, people, shas, vote

pytestmark = pytest.mark.django_db


def counted(group: Any) -> HumanTest:
    run = play(group.runs.get(kind="human_test"))
    return HumanTest.read(path_of(Artifact.objects.get(run=run)))


def test_votes_become_a_result_when_the_last_one_is_there(mia: Any) -> None:
    group, campaign, clips = opened(mia)
    count = group.runs.get(kind="human_test")
    assert waiting_for(count) == (
        f"waits for people: 8 votes are missing in 'Side by side {group.pk}',"
        " 0 of 4 pairs are complete"
    )
    first, second = people(2)
    for person in (first, second):
        assert not lifecycle.claimable(["default"]).exists()
        assert vote(person, campaign, shas(clips), always("win")) == 4
    result = counted(group)
    overall = result.of("overall")
    assert overall is not None
    assert (overall.wins, overall.ties, overall.losses) == (4, 0, 0)
    assert (result.votes_counted, result.people, result.votes_missing) == (8, 2, 0)
    assert result.counted_early == ""
    campaign.refresh_from_db()
    assert campaign.state == CampaignState.CLOSED


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_page_says_what_is_missing_and_then_what_people_said(mia: Any, lee: Any) -> None:
    group, campaign, clips = opened(mia)
    page = _as(lee).get(f"/retests/{group.pk}/").content.decode()
    assert "0 <small>of 8 votes, 8 missing" in page
    assert f'hx-get="/retests/{group.pk}/state"' in page
    for person in people(2):
        vote(person, campaign, shas(clips), always("tie"))
    play(group.runs.get(kind="human_test"))
    page = _as(lee).get(f"/retests/{group.pk}/").content.decode()
    assert "new-model-7B against old-model-1B: what people say" in page
    assert "0 / 4 / 0" in page
    assert "Count now" not in page
    artifact = Artifact.objects.get(kind="human_test")
    told = _as(lee).get(f"/artifacts/{artifact.pk}/human_test.json").json()
    assert told["schema"] == "human_test/1"
    assert "what people say" in _as(lee).get(f"/artifacts/{artifact.pk}/").content.decode()


def test_somebody_may_count_before_all_votes_are_there_and_it_is_said(mia: Any, lee: Any) -> None:
    group, campaign, clips = opened(mia)
    person = next(iter(people(1)))
    assert vote(person, campaign, shas(clips), always("loss"), most=3) == 3
    assert _as(lee).post(f"/retests/{group.pk}/count").status_code == 302
    result = counted(group)
    overall = result.of("overall")
    assert overall is not None
    assert (overall.losses, overall.missing) == (3, 1)
    assert result.counted_early == "asked for by lee"
    assert (result.votes_missing, result.votes_counted) == (5, 3)
    told = " ".join(result.notes)
    assert "Counted before all votes were there (asked for by lee; 5 were missing)" in told
    assert "All votes are those of one person" in told
    assert "3 pairs rest on a single vote" in told
    said = AuditEntry.objects.filter(act="retest.count").get()
    assert said.target == f"retest {group.pk}"
    page = _as(lee).post(f"/retests/{group.pk}/count", follow=True).content.decode()
    assert "does not wait for votes" in page


def test_a_third_person_settles_what_two_differ_on(mia: Any) -> None:
    group, campaign, clips = opened(mia)
    first, second, third = people(3)

    def splits(prompt: str, _key: str) -> str:
        return "loss" if prompt.endswith(("0", "1")) else "win"

    vote(first, campaign, shas(clips), always("win"))
    vote(second, campaign, shas(clips), splits)
    assert "2 votes are missing" in waiting_for(group.runs.get(kind="human_test"))
    assert vote(third, campaign, shas(clips), always("win")) == 2
    overall = counted(group).dimensions[0]
    assert (overall.wins, overall.losses, overall.settled_further) == (4, 0, 2)


def test_who_was_stopped_or_left_out_does_not_count_and_is_named(mia: Any) -> None:
    group, campaign, clips = opened(
        mia, votes_wanted=3, extra_votes=0, count={"exclude": ["person-1"]}
    )
    good, named, stopped = people(3)
    vote(good, campaign, shas(clips), always("win"))
    for person in (named, stopped):
        vote(person, campaign, shas(clips), always("loss"))
    Cursor.objects.filter(annotator=stopped).update(
        stage=Stage.PAUSED, stage_reason="Gold went wrong."
    )
    result = counted(group)
    assert result.dimensions[0].wins == 4
    assert (result.votes_counted, result.votes_excluded, result.people) == (4, 8, 1)
    why = {voter.excluded for voter in result.voters}
    assert why == {"", "who asked for the count has left them out", "Gold went wrong."}
    assert "8 votes of 2 annotators do not count" in " ".join(result.notes)
    assert "person-" not in json.dumps(result.to_json())


def test_clips_taken_out_rulings_and_pairs_that_cannot_be_judged_are_told_apart(
    mia: Any, lee: Any
) -> None:
    group, campaign, clips = opened(mia)
    first, second = people(2)

    def broken_first(prompt: str, _key: str) -> str:
        return "invalid" if prompt.endswith("0") else "win"

    for person in (first, second):
        vote(person, campaign, shas(clips), broken_first)
    gone, ruled = campaign.triplets.filter(prompt__text__in=("prompt 1", "prompt 2")).order_by(
        "prompt__text"
    )
    Video.objects.filter(pk=gone.video_a_id).update(withdrawn=True)
    side = "A" if ruled.video_a.sha256 in shas(clips) else "B"
    settle_by_adjudication(ruled, {"VQ": "A" if side == "B" else "B"})
    result = counted(group)
    quality = result.of("VQ")
    assert quality is not None
    assert (quality.wins, quality.losses, quality.invalid) == (1, 1, 1)
    assert (result.pairs_withdrawn, result.pairs_adjudicated) == (1, 1)
    assert {pair.prompt for pair in result.pairs} == {"prompt 0", "prompt 2", "prompt 3"}
    assert "1 pair is left out, because a clip was withdrawn." in result.notes


def test_the_same_clip_on_both_sides_is_a_tie_that_nobody_is_asked_about(mia: Any) -> None:
    base = clip_set(mia, "old-model-1B", 3)
    same = clip_set(mia, "new-model-7B", 3, like=("old-model-1B", {"prompt 1"}))
    group = start_retest({}, {"base": base, "candidate": same}, mia)
    run = play(group.runs.get(kind="retest"))
    assert (run.summary["pairs"], run.summary["identical"]) == (2, 1)
    campaign = Campaign.objects.get(made_by=f"run {run.pk}")
    assert campaign.triplets_total == 2
    for person in people(2):
        vote(person, campaign, shas(same), always("win"))
    overall = counted(group).dimensions[0]
    assert (overall.wins, overall.ties) == (2, 1)
    with pytest.raises(FormatError, match="no pair is left to ask about"):
        play(start_retest({}, {"base": base, "candidate": clip_set(
            mia, "third-model", 3, like=("old-model-1B", {"prompt 0", "prompt 1", "prompt 2"})
        )}, mia).runs.get(kind="retest"))  # fmt: skip


# Blind.


def test_whoever_votes_learns_no_name_and_no_type(mia: Any) -> None:
    group, campaign, clips = opened(mia, prompts=4)
    person = next(iter(people(1)))
    client = _as(person)
    said = [client.get("/api/campaigns").content.decode()]
    body = {"tab": "6f1f5b53-6f4b-4c46-8a83-2c7b7f1e0001"}
    given = client.post(
        f"/api/campaigns/{campaign.pk}/next", json.dumps(body), "application/json"
    ).json()
    assert given["kind"] == "pairwise"
    said.append(json.dumps(given))
    for side in ("left", "right"):
        for address in (given[side]["url"], given[side]["poster"]):
            answer = client.get(address)
            said.append(repr(sorted(answer.headers.items())))
            said.append(b"".join(answer).decode("latin-1"))
    vote(person, campaign, shas(clips), always("win"))
    pages = ("/", "/annotate/{}/", "/api/votes/mine?campaign={}", "/campaigns/{}/me/")
    said += [client.get(each.format(campaign.pk)).content.decode() for each in pages]
    told = "\n".join(said)
    assert not re.search("model-1B|model-7B|candidate|retest|re-test", told, re.IGNORECASE)
    assert client.get(f"/retests/{group.pk}/").status_code == 403
    assert client.get(f"/api/retests/{group.pk}").status_code == 403


def test_sides_are_dealt_anew_for_each_pair_and_each_vote(mia: Any) -> None:
    group, campaign, clips = opened(mia, prompts=16, clips=clip_set(mia, "new-model-7B", 16))
    artifact = Artifact.objects.get(kind="retest")
    rows = read_json(path_of(artifact), RETEST)["pairs"]
    assert {row["candidate_is"] for row in rows} == {"A", "B"}
    for row in rows:
        triplet = Triplet.objects.get(pk=row["triplet"])
        video = triplet.video_a if row["candidate_is"] == "A" else triplet.video_b
        assert video is not None
        assert video.sha256 == row["candidate_sha256"]
    for person in people(2):
        vote(person, campaign, shas(clips), always("win"))
    swaps = Lease.objects.filter(triplet__campaign=campaign).values_list("triplet", "swap")
    by_triplet: dict[int, set[bool]] = {}
    for triplet_id, swap in swaps:
        by_triplet.setdefault(triplet_id, set()).add(swap)
    # The two votes of a pair see it from both sides: what a side gives or takes, it gives to both.
    assert set(map(frozenset, by_triplet.values())) == {frozenset({True, False})}
    assert counted(group).dimensions[0].wins == 16


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"instructions": "Is New-Model-7B better?"}, "must not say 'new-model-7B'"),
        ({"dimension_set": "taste"}, "there is no dimension set 'taste'"),
        ({"votes_wanted": 0}, "votes_wanted must be a whole number, 1 or more"),
        ({"vote_wanted": 3}, "did you mean 'votes_wanted'"),
        ({"candidate_name": "old-model-1B"}, None),
        ({"simulated": True}, "simulated annotators vote on a site that `make run`"),
        ({"count": {"exclude": "bob"}}, "exclude must be a list of user names"),
        ({"annotators": ["nobody"]}, "there is no account 'nobody' that could vote"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(
    sets: tuple[Any, Any], mia: Any, config: dict[str, Any], sentence: str | None
) -> None:
    base, clips = sets
    inputs = {"base": base, "candidate": clips}
    if sentence is None:  # names that are equal are told apart
        assert start_retest(config, inputs, mia).runs.count() == 3
        return
    with pytest.raises(InvalidRunConfig, match=re.escape(sentence)):
        start_retest(config, inputs, mia)
    assert not LoopGroup.objects.filter(kind=GroupKind.RETEST).exists()


@pytest.fixture
def sets(mia: Any) -> tuple[Any, Any]:
    ensure_built_in_sets()
    return clip_set(mia, "old-model-1B", 2), clip_set(mia, "new-model-7B", 2)


def test_sources_that_are_no_two_sides_are_refused(sets: tuple[Any, Any], mia: Any) -> None:
    base, clips = sets
    for inputs, sentence in (
        ({"candidate": clips}, "a set of clips is compared with another set"),
        ({"candidate": clips, "base": clips}, "base and candidate are the same artifact"),
        ({"candidate": clips, "snapshot": base}, "a re-test has no input 'snapshot'"),
        ({"evaluation": clips, "base": base}, "give an evaluation or two sides, not both"),
        ({"evaluation": clips}, "must be an artifact: evaluation; got a generations"),
        ({}, "the candidate of a re-test must be an artifact: adapter or generations; got none"),
    ):
        with pytest.raises(InvalidRunConfig, match=re.escape(sentence)):
            start_retest({}, inputs, mia)


def test_sides_of_other_sizes_are_refused_unless_that_is_allowed(
    sets: tuple[Any, Any], mia: Any
) -> None:
    base, clips = sets
    Video.objects.filter(generator__name="new-model-7B").update(fps=16.0)
    inputs = {"base": base, "candidate": clips}
    with pytest.raises(FormatError, match="in 2 of 2 pairs the clips differ in their frame rate"):
        play(start_retest({}, inputs, mia).runs.get(kind="retest"))
    group = start_retest({"allow_differing": True}, inputs, mia)
    play(group.runs.get(kind="retest"))
    count = group.runs.get(kind="human_test")
    people_waits.enough(count, mia)
    assert "such as 8 and 16" in counted(group).notes[0]


def test_a_run_that_is_tried_again_opens_no_second_campaign(
    sets: tuple[Any, Any], mia: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, clips = sets
    group = start_retest({}, {"base": base, "candidate": clips}, mia)
    run = group.runs.get(kind="retest")
    folder = launching.prepare(run)
    for _ in range(2):  # the first attempt dies after its work and before it is registered
        retest_campaigns.perform(Supervised(folder))
    assert Campaign.objects.filter(kind=CampaignKind.RETEST).count() == 1
    assert Campaign.objects.get(kind=CampaignKind.RETEST).triplets_total == 2
    # Who forgets whose campaign it is fails here: the name is taken.
    monkeypatch.setattr(RetestConfig, "wish", lambda self, _by, hidden=(): forgetful(self, hidden))
    with pytest.raises(FormatError, match="there is a campaign 'Side by side"):
        retest_campaigns.perform(Supervised(folder))


def forgetful(config: RetestConfig, hidden: Any) -> BlindWish:
    return BlindWish(config.name, config.dimension_set, "another run", hidden=tuple(hidden))


# What a re-test is not.


def test_a_retest_takes_no_pairs_trains_nothing_and_is_copied_as_an_ordinary_campaign(
    mia: Any, lee: Any
) -> None:
    _, campaign, _ = opened(mia)
    with pytest.raises(InvalidRunConfig, match="is a re-test: what says whether a candidate got"):
        start_run("snapshot", {"campaign": campaign.pk}, user=mia)
    prompt = Prompt.objects.get(text="prompt 0")
    clips = list(Video.objects.filter(prompt=prompt)[:2])
    other = Video.objects.create(
        prompt=prompt, file="x", sha256="x", fps=8, num_frames=4, width=8, height=8, duration=1
    )
    with pytest.raises(CampaignError, match="the pairs of the re-test"):
        create_triplets(campaign, [(prompt, clips[0], other)])
    copy = clone_campaign(campaign, "Once more", lee, triplets=True)
    assert (copy.kind, copy.triplets_total) == (CampaignKind.PAIRWISE, 4)
    body = {"name": "By hand", "dimension_set": "videoalign", "kind": "retest"}
    answer = _as(lee).post("/api/campaigns", json.dumps(body), "application/json")
    assert (answer.status_code, "opened by a run" in answer.json()["error"]) == (422, True)
    changes = json.dumps({"kind": "retest"})
    path = f"/api/campaigns/{Campaign.objects.exclude(pk=campaign.pk).latest('pk').pk}"
    assert _as(lee).patch(path, changes, "application/json").status_code == 422


# Where it starts, and by which door.


def adapter_of(user: Any, name: str) -> Artifact:
    run = Run.objects.create(kind="alignment", name=name, config={}, config_sha="", created_by=user)
    return Artifact.objects.create(kind="adapter", run=run, name=name, path=f"{run.pk}/outputs/a")


def test_two_adapters_are_compared_on_the_clips_that_both_have(mia: Any) -> None:
    ensure_built_in_sets()
    one, other = adapter_of(mia, "Flow-DPO"), adapter_of(mia, "GAPO")
    clip_set(mia, "flow, other prompts", 3, adapter=one)
    sets = [clip_set(mia, name, 2, adapter=each) for name, each in (("f", one), ("g", other))]
    group = start_retest({}, {"candidate": one, "base": other}, mia, nonce="n")
    assert group.name == "Flow-DPO against GAPO, by people"
    rows = group.runs.get(kind="retest").inputs.order_by("role")
    assert [row.artifact for row in rows] == [sets[1], sets[0]]
    assert start_retest({}, {"candidate": one, "base": other}, mia, nonce="n") == group
    assert group.runs.count() == 3


def test_clips_that_are_missing_are_made_first(mia: Any) -> None:
    one, other = adapter_of(mia, "Flow-DPO"), adapter_of(mia, "GAPO")
    clip_set(mia, "f", 2, adapter=one)
    inputs: dict[str, Any] = {"candidate": one, "base": other}
    with pytest.raises(InvalidRunConfig, match="give it as an input 'generator'"):
        start_retest({}, inputs, mia)
    inputs["generator"] = BaseModel.objects.get(name="tiny-wan")
    with pytest.raises(InvalidRunConfig, match="prompts: prompts need a suite or a campaign"):
        start_retest({}, inputs, mia)
    suite = Suite.objects.create(name="held out")
    SuitePrompt.objects.create(suite=suite, position=1, text="a circle", split="test")
    split = {"train": 0.0, "validation": 0.0, "test": 1.0}
    config = {"prompts": {"suite": "held out"}, "split": split, "generation": {"seed": 3}}
    group = start_retest(config, inputs, mia)
    kinds = list(group.runs.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["generation", "generation", "retest", "human_test", "report"]
    made = [run.inputs.get(role="adapter").artifact for run in group.runs.filter(kind="generation")]
    assert {each.pk for each in made if each} == {one.pk, other.pk}


def test_an_evaluation_brings_its_clips_and_goes_into_the_report(mia: Any) -> None:
    ensure_built_in_sets()
    base = clip_set(mia, "old-model-1B", 2)
    clips = clip_set(mia, "new-model-7B", 2, adapter=adapter_of(mia, "GAPO"))
    run = Run.objects.create(kind="evaluation", config={}, config_sha="", state="succeeded")
    for role, artifact in (("base", base), ("candidate", clips)):
        run.inputs.create(role=role, artifact=artifact)
    found = Artifact.objects.create(
        kind="evaluation", run=run, path=f"{run.pk}/e", meta={"candidate": "GAPO"}
    )
    page = _as(mia).get(f"/artifacts/{found.pk}/").content.decode()
    assert f'name="evaluation" value="{found.pk}"' in page
    answer = _as(mia).post("/retests/start", {"evaluation": found.pk, "nonce": "once"})
    group = LoopGroup.objects.get(kind=GroupKind.RETEST)
    assert answer["Location"] == f"/retests/{group.pk}/"
    assert group.name == "GAPO against base, by people"
    report = group.runs.get(kind="report")
    assert {row.role for row in report.inputs.all()} == {"human_test:GAPO", "evaluation:GAPO"}
    again = _as(mia).post("/retests/start", {"evaluation": found.pk, "nonce": "once"})
    assert again["Location"] == answer["Location"]
    assert AuditEntry.objects.filter(act="retest.start").count() == 2
    # The adapter itself leads to the same clips.
    adapter = Artifact.objects.get(kind="adapter")
    other = start_retest({}, {"candidate": adapter}, mia)
    assert other.runs.get(kind="retest").inputs.get(role="candidate").artifact == clips
    assert _as(mia).get(f"/loop/{group.pk}/")["Location"] == f"/retests/{group.pk}/"


def test_programs_start_a_retest_follow_it_and_count_now(
    sets: tuple[Any, Any], mia: Any, alice: Any
) -> None:
    base, clips = sets
    client = _as(mia)
    body = {
        "config": {"votes_wanted": 1, "extra_votes": 0},
        "inputs": {"base": {"artifact": base.pk}, "candidate": {"artifact": clips.pk}},
        "nonce": "r1",
    }
    answer = client.post("/api/retests", json.dumps(body), "application/json")
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert [run["kind"] for run in told["runs"]] == ["retest", "human_test", "report"]
    assert client.post(f"/api/retests/{told['id']}/count").status_code == 409
    play(Run.objects.get(kind="retest"))
    told = client.get(f"/api/retests/{told['id']}").json()
    assert (told["votes_missing"], told["votes_wanted"], told["result"]) == (2, 2, None)
    campaign = Campaign.objects.get(pk=told["campaign"])
    vote(alice, campaign, shas(clips), always("win"), most=1)
    assert client.post(f"/api/retests/{told['id']}/count").status_code == 200
    play(Run.objects.get(kind="human_test"))
    told = client.get(f"/api/retests/{told['id']}").json()
    assert told["result"]["dimensions"][0]["wins"] == 1
    assert [row["id"] for row in client.get("/api/retests").json()["retests"]] == [told["id"]]
    wrong = client.post("/api/retests", json.dumps({"inputs": {}}), "application/json")
    assert (wrong.status_code, "must be an artifact" in wrong.json()["error"]) == (422, True)


def test_a_count_of_a_campaign_that_is_there_waits_for_it_at_once(mia: Any) -> None:
    group, campaign, clips = opened(mia)
    artifact = Artifact.objects.get(kind="retest")
    for source in (artifact, group.runs.get(kind="retest")):
        again = start_run("human_test", {}, {"retest": source}, user=mia)
        assert PeopleWait.objects.get(run=again).campaign == campaign
        assert again not in lifecycle.claimable(["default"])
    # Nothing else is queued but the report, so a worker that leaves when it is idle may leave.
    assert people_waits.held_up() == set(
        Run.objects.filter(state="queued").values_list("pk", flat=True)
    )
    for person in people(2):
        vote(person, campaign, shas(clips), always("win"))
    assert people_waits.held_up() == set()
    assert lifecycle.claimable(["default"]).count() == 3
    counted(group)
    later = HumanTest.read(path_of(Artifact.objects.get(run=play(again))))
    assert "The votes were counted 1 times before" in " ".join(later.notes)


def test_a_campaign_that_a_lead_closes_is_counted_as_it_stands(mia: Any) -> None:
    group, campaign, clips = opened(mia)
    vote(next(iter(people(1))), campaign, shas(clips), always("tie"))
    close_campaign(campaign)
    result = counted(group)
    assert result.counted_early == "the campaign had been closed"
    assert result.dimensions[0].ties == 4


def test_the_command_is_the_same_door(
    sets: tuple[Any, Any], mia: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, clips = sets
    words = [f"--input=base=artifact:{base.pk}", f"--input=candidate=artifact:{clips.pk}"]
    config = tmp_path / "retest.json"
    config.write_text(json.dumps({"votes_wanted": 3, "name": "Once more"}))
    call_command("start_retest", *words, "--user=mia", f"--config={config}")
    group = LoopGroup.objects.get(kind=GroupKind.RETEST)
    assert f"re-test {group.pk} (Once more): 3 runs are queued" in capsys.readouterr().out
    assert group.runs.get(kind="retest").config["votes_wanted"] == 3
    with pytest.raises(CommandError, match="a set of clips is compared with another set"):
        call_command("start_retest", words[1], "--user=mia")
