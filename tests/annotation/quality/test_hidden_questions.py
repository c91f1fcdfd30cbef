"""Probes: when one is given, what becomes of its answer, and the stages before work."""

import itertools
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from annotation.ballots import Answer, Ballot
from annotation.cursors import lock_cursor
from annotation.errors import ForeignLease, LeaseExpired, NotFound, VoteConflict
from annotation.models import (
    Campaign,
    Cursor,
    Generator,
    Outbox,
    Probe,
    ProbeAnswer,
    ProbeKind,
    ProbeLease,
    Stage,
    Video,
)
from annotation.models import Prompt as PromptRow
from annotation.offers import Assignment, Empty
from annotation.quality import probes
from annotation.quality.hiding import draw, kind_due

TAB = uuid.uuid4()
KEYS = ("VQ", "MQ", "TA")


def make_probes(campaign: Campaign, kind: str, count: int, *, label: str = "A") -> list[Probe]:
    """Questions whose right answer is `label` everywhere; their clips have no files."""
    maker, _ = Generator.objects.get_or_create(name="generator-secret-7B")
    made = []
    for n in range(count):
        prompt = PromptRow.objects.for_text(f"{campaign.pk} {kind} {n}")
        clips = [
            Video.objects.create(
                prompt=prompt,
                generator=maker,
                seed=seed,
                file=f"videos/bb/{seed}.mp4",
                sha256=f"{kind}{n}{seed}"[:64],
                fps=8,
                num_frames=9,
                width=64,
                height=64,
                duration=9 / 8,
            )
            for seed in (1, 2)
        ]
        made.append(
            Probe.objects.create(
                campaign=campaign,
                kind=kind,
                prompt=prompt,
                video_a=clips[0],
                video_b=clips[1],
                expected=dict.fromkeys(KEYS, label),
                explanation={"en": "The red one moves.", "ja": "赤いほうが動く。"},
                shuffle=n,
            )
        )
    return made


def give(campaign: Campaign, user: Any, **options: Any) -> Any:
    cursor, now = lock_cursor(campaign.pk, user)
    return probes.give_if_due(campaign, cursor, options.pop("tab", TAB), now, **options)


def ballot(given: Assignment, word: str | dict[str, str]) -> Ballot:
    """`word` in canonical terms: A, B, tie or invalid."""
    probe = ProbeLease.objects.select_related("probe").get(pk=given.token)
    swap = probe.swap
    screen = {"A": "right" if swap else "left", "B": "left" if swap else "right"}
    words = word if isinstance(word, dict) else dict.fromkeys(KEYS, word)
    return Ballot(
        left_video=str(given.left.pk),
        right_video=str(given.right.pk) if given.right else "",
        answers={
            key: Answer(screen.get(each, each), reason="broken" if each == "invalid" else "")
            for key, each in words.items()
        },
        active_ms=2000,
    )


def run_stage(campaign: Campaign, user: Any, word: str, count: int) -> list[Any]:
    receipts = []
    for _ in range(count):
        given = give(campaign, user)
        assert isinstance(given, Assignment)
        receipts.append(probes.answer(given.token, user, ballot(given, word)))
    return receipts


@pytest.fixture
def campaign(make_campaign: Callable[..., Campaign]) -> Campaign:
    return make_campaign(3)


@pytest.fixture
def all_gold(campaign: Campaign) -> Campaign:
    """Every question that may be gold is gold."""
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=1, repeat_share=0)
    campaign.refresh_from_db()
    return campaign


@pytest.fixture
def qualifying(campaign: Campaign) -> Campaign:
    Campaign.objects.filter(pk=campaign.pk).update(qualify=True)
    campaign.refresh_from_db()
    make_probes(campaign, ProbeKind.PRACTICE, 3)
    make_probes(campaign, ProbeKind.QUALIFICATION, 4)
    return campaign


def test_gold_and_repeats_have_their_shares_and_never_follow_each_other(campaign: Campaign) -> None:
    cursor = Cursor(campaign=campaign, annotator_id=7)
    campaign.gold_share, campaign.repeat_share = 0.05, 0.025
    last, given = -1, []
    for number in range(1, 40_001):
        kind = kind_due(campaign, draw(cursor, number).due) if number >= last + 2 else ""
        if kind:
            last = number
        given.append(kind)
    # Standard errors of 40,000 draws: sqrt(.05 * .95 / 40000) = .0011, and .0008 for .025.
    assert given.count(ProbeKind.GOLD) / len(given) == pytest.approx(0.05, abs=0.004)
    assert given.count(ProbeKind.REPEAT) / len(given) == pytest.approx(0.025, abs=0.003)
    assert not any(first and second for first, second in itertools.pairwise(given))


def test_a_draw_is_the_same_again_and_another_for_another_person(campaign: Campaign) -> None:
    first = [draw(Cursor(campaign=campaign, annotator_id=1), n) for n in range(20)]
    assert first == [draw(Cursor(campaign=campaign, annotator_id=1), n) for n in range(20)]
    assert first != [draw(Cursor(campaign=campaign, annotator_id=2), n) for n in range(20)]


def test_without_a_probe_due_nothing_is_asked_of_the_database(
    campaign: Campaign, alice: Any, django_assert_num_queries: Any
) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=0, repeat_share=0)
    campaign.refresh_from_db()
    cursor, now = lock_cursor(campaign.pk, alice)
    with django_assert_num_queries(0):
        assert probes.give_if_due(campaign, cursor, TAB, now) is None


def test_gold_is_never_given_twice_nor_twice_in_a_row(all_gold: Campaign, alice: Any) -> None:
    make_probes(all_gold, ProbeKind.GOLD, 3)
    seen = []
    for _ in range(10):
        given = give(all_gold, alice)
        if isinstance(given, Assignment):
            assert given.stage == Stage.WORKING
            assert given.stage_progress is None
            seen.append({given.left.pk, given.right.pk})
            probes.answer(given.token, alice, ballot(given, "A"))
            assert give(all_gold, alice) is None, "two probes in a row"
        # As if a pair of the queue had been voted on.
        Cursor.objects.filter(annotator=alice).update(questions=Cursor.objects.get().questions + 1)
    assert len(seen) == 3
    assert len({frozenset(each) for each in seen}) == 3


def test_a_reload_shows_the_probe_again_and_another_tab_does_not(
    all_gold: Campaign, alice: Any
) -> None:
    make_probes(all_gold, ProbeKind.GOLD, 2)
    first = give(all_gold, alice)
    assert give(all_gold, alice) == first
    assert give(all_gold, alice, prefetch=True) is None
    assert give(all_gold, alice, tab=uuid.uuid4()) is None


def test_the_same_answer_again_is_a_replay_and_another_a_conflict(
    all_gold: Campaign, alice: Any, bob: Any
) -> None:
    make_probes(all_gold, ProbeKind.GOLD, 1)
    given = give(all_gold, alice)
    first = probes.answer(given.token, alice, ballot(given, "A"))
    again = probes.answer(given.token, alice, ballot(given, "A"))
    assert (first.vote, first.replay, again.vote, again.replay) == (
        again.vote,
        False,
        first.vote,
        True,
    )
    with pytest.raises(VoteConflict):
        probes.answer(given.token, alice, ballot(given, "B"))
    with pytest.raises(ForeignLease):
        probes.answer(given.token, bob, ballot(given, "A"))
    with pytest.raises(NotFound):
        probes.answer(uuid.uuid4(), alice, ballot(given, "A"))
    assert ProbeAnswer.objects.count() == 1
    assert Cursor.objects.get().questions == 1
    assert Cursor.objects.get().votes == 0
    assert Cursor.objects.get().active_ms_today == 2000


def test_a_revision_keeps_the_old_answer_and_counts_the_new_one(
    all_gold: Campaign, alice: Any
) -> None:
    make_probes(all_gold, ProbeKind.GOLD, 1)
    given = give(all_gold, alice)
    first = probes.answer(given.token, alice, ballot(given, "B"))
    second = probes.revise(first.vote, alice, 1, ballot(given, "A"))
    assert second.revision == 2
    rows = list(ProbeAnswer.objects.order_by("revision").values_list("errors", "superseded"))
    assert rows == [(1.0, True), (0.0, False)]
    assert probes.revise(first.vote, alice, 1, ballot(given, "A")).replay
    with pytest.raises(VoteConflict):
        probes.revise(first.vote, alice, 1, ballot(given, "tie"))
    with pytest.raises(NotFound):
        probes.revise(uuid.uuid4(), alice, 1, ballot(given, "tie"))


def test_a_released_probe_can_be_answered_late_and_comes_again_otherwise(
    all_gold: Campaign, alice: Any
) -> None:
    make_probes(all_gold, ProbeKind.GOLD, 1)
    given = give(all_gold, alice)
    assert probes.renew(given.token, alice) >= given.expires_at
    assert probes.release(given.token, alice) is True
    assert probes.release(given.token, alice) is False
    with pytest.raises(LeaseExpired):
        probes.renew(given.token, alice)
    assert Cursor.objects.get().probe is None
    Cursor.objects.update(questions=5)
    again = give(all_gold, alice)
    assert again.token != given.token
    assert {again.left, again.right} == {given.left, given.right}
    # The late answer under the first lease takes the place of the one in hand.
    probes.answer(given.token, alice, ballot(given, "A"))
    assert Cursor.objects.get().probe is None
    with pytest.raises(VoteConflict):
        probes.answer(again.token, alice, ballot(again, "B"))
    with pytest.raises(VoteConflict):
        probes.skip(again.token, alice)


def test_a_probe_whose_time_ran_out_makes_room(all_gold: Campaign, alice: Any) -> None:
    make_probes(all_gold, ProbeKind.GOLD, 2)
    given = give(all_gold, alice)
    ProbeLease.objects.update(expires_at=ProbeLease.objects.get().issued_at)
    assert give(all_gold, alice) is None  # the question before was a probe
    assert ProbeLease.objects.get(pk=given.token).state == "released"


def test_a_skipped_gold_is_not_given_again(all_gold: Campaign, alice: Any) -> None:
    make_probes(all_gold, ProbeKind.GOLD, 1)
    given = give(all_gold, alice)
    probes.skip(given.token, alice, "cannot_decide")
    Cursor.objects.update(questions=5)
    assert give(all_gold, alice) is None
    assert ProbeLease.objects.get().skip_reason == "cannot_decide"


def test_practice_explains_itself_and_leads_to_the_qualification(
    qualifying: Campaign, alice: Any
) -> None:
    given = give(qualifying, alice)
    assert (given.stage, given.stage_progress.done, given.stage_progress.of) == ("practice", 0, 3)
    assert isinstance(give(qualifying, alice, prefetch=True), Empty)
    receipt = probes.answer(given.token, alice, ballot(given, {"VQ": "A", "MQ": "B", "TA": "tie"}))
    assert [receipt.feedback[key]["right"] for key in KEYS] == [True, False, False]
    swap = ProbeLease.objects.get(pk=given.token).swap
    assert receipt.feedback["VQ"]["expected"] == ("right" if swap else "left")
    assert receipt.feedback["TA"]["said"] == "tie"
    assert receipt.explanation == "The red one moves."
    run_stage(qualifying, alice, "A", 2)
    assert Cursor.objects.get().stage == Stage.QUALIFICATION
    given = give(qualifying, alice)
    assert (given.stage, given.stage_progress.of) == ("qualification", 4)
    assert probes.answer(given.token, alice, ballot(given, "A")).feedback is None


def test_the_qualification_is_passed_at_the_share_of_the_campaign(
    qualifying: Campaign, alice: Any
) -> None:
    run_stage(qualifying, alice, "A", 3)
    receipts = run_stage(qualifying, alice, "A", 3) + run_stage(qualifying, alice, "B", 1)
    # 3 of 4 right = 75 %, which passes.
    assert Cursor.objects.get().stage == Stage.WORKING
    assert "75% right" in receipts[-1].note
    assert give(qualifying, alice) is None  # work: a pair of the queue


def test_two_failed_attempts_end_it(qualifying: Campaign, alice: Any) -> None:
    run_stage(qualifying, alice, "A", 3)
    # 'same' where A is right is half an error: 50 % right.
    run_stage(qualifying, alice, "tie", 4)
    cursor = Cursor.objects.get()
    assert (cursor.stage, cursor.attempt) == (Stage.QUALIFICATION, 2)
    assert "50% right" in cursor.stage_reason
    assert "VQ 50%" in cursor.stage_reason
    run_stage(qualifying, alice, "tie", 4)
    assert Cursor.objects.get().stage == Stage.FAILED


def test_the_qualification_wants_an_answer_to_each_question(
    qualifying: Campaign, alice: Any
) -> None:
    run_stage(qualifying, alice, "A", 3)
    given = give(qualifying, alice)
    with pytest.raises(VoteConflict):
        probes.skip(given.token, alice)


def test_answers_of_a_finished_attempt_stay(qualifying: Campaign, alice: Any) -> None:
    first = run_stage(qualifying, alice, "A", 1)[0]
    given_again = ProbeAnswer.objects.get(pk=first.vote)
    lease = ProbeLease.objects.select_related("probe").get(pk=given_again.lease_id)
    left, right = lease.probe.video_a, lease.probe.video_b
    if lease.swap:
        left, right = right, left
    given = Assignment(lease.pk, lease.probe.prompt, left, right, lease.expires_at, 0)
    with pytest.raises(VoteConflict):
        probes.revise(first.vote, alice, 1, ballot(given, "B"))


def test_a_qualification_without_questions_says_so(campaign: Campaign, alice: Any) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(qualify=True)
    campaign.refresh_from_db()
    given = give(campaign, alice)
    assert isinstance(given, Empty)
    assert "no questions yet" in given.reason


def test_who_worked_before_goes_on_working(qualifying: Campaign, alice: Any) -> None:
    Cursor.objects.create(campaign=qualifying, annotator=alice, questions=4, votes=4)
    assert give(qualifying, alice) is None


def test_fourteen_errors_in_forty_are_kept_and_more_pause(all_gold: Campaign, alice: Any) -> None:
    # keep_share 0.65 of 40 allows 14 errors; 'same' for A is half of one.
    make_probes(all_gold, ProbeKind.GOLD, 30)
    for n in range(29):
        given = give(all_gold, alice)
        probes.answer(given.token, alice, ballot(given, "tie"))
        Cursor.objects.update(questions=Cursor.objects.get().questions + 1)
        assert (Cursor.objects.get().stage == Stage.PAUSED) == (n == 28), n
    assert Outbox.objects.filter(kind="annotator.paused").count() == 1


def test_own_answers_are_listed_without_practice(qualifying: Campaign, alice: Any) -> None:
    run_stage(qualifying, alice, "A", 3)
    assert probes.latest_of(alice, qualifying, 20) == []
    run_stage(qualifying, alice, "A", 2)
    rows = probes.latest_of(alice, qualifying, 20)
    assert [row.state for row in rows] == ["counted", "counted"]
    assert [said.label for said in rows[0].said] == ["A", "A", "A"]
    run_stage(qualifying, alice, "A", 2)
    assert probes.latest_of(alice, qualifying, 20) == []
