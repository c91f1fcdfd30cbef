"""Flags at one moment: a clip is out exactly as long as a flag on it stands.

Each act has a connection of its own, and where they can, all are let go together in the middle.
"""

import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

import pytest
from django.db import connections

from annotation.models import Campaign, Flag, Video
from annotation.promises import broken_promises
from annotation.quality import flags

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], Any]) -> None:
    failed: list[Exception] = []

    def run(act: Callable[[], Any]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001  told below, in the thread of the test
            failed.append(error)
        finally:
            connections.close_all()

    threads = [Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def meeting(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Two wait for each other there; who waits alone, because the other is not let in, goes on."""
    barrier, plain = Barrier(2), getattr(flags, name)

    def act(*given: Any, **named: Any) -> Any:
        with suppress(BrokenBarrierError):
            barrier.wait(timeout=0.5)
        return plain(*given, **named)

    monkeypatch.setattr(flags, name, act)


@pytest.fixture
def campaign(make_campaign: Callable[..., Campaign]) -> Campaign:
    campaign = make_campaign(1)
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=0, repeat_share=0)
    return campaign


def report(given: dict[str, Any], user: Any, clip: str) -> None:
    side = "left" if given["left"]["id"] == clip else "right"
    flags.raise_flag(uuid.UUID(given["lease"]), user, flags.Report("disturbing", side))


def test_two_dismissals_at_once_bring_the_clip_back(
    campaign: Campaign, alice: Any, bob: Any, lee: Any, annotator: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given = [(annotator(user).next(campaign), user) for user in (alice, bob)]
    clip = given[0][0]["left"]["id"]
    for each, user in given:
        report(each, user, clip)
    meeting(monkeypatch, "_follow")
    pks = list(Flag.objects.values_list("pk", flat=True))
    assert len(pks) == 2
    at_once(*(partial(flags.settle, pk, lee, uphold=False) for pk in pks))
    assert set(Flag.objects.values_list("state", flat=True)) == {"dismissed"}
    assert not Video.objects.get(pk=clip).withdrawn
    assert campaign.triplets.get().state == "open"
    assert broken_promises(campaign) == []


def test_two_dismissals_on_both_clips_of_a_pair_bring_the_pair_back(
    campaign: Campaign, alice: Any, bob: Any, lee: Any, annotator: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given, held = annotator(alice).next(campaign), annotator(bob).next(campaign)
    report(given, alice, given["left"]["id"])
    report(held, bob, given["right"]["id"])
    meeting(monkeypatch, "_follow")
    pks = list(Flag.objects.values_list("pk", flat=True))
    assert len(pks) == 2
    at_once(*(partial(flags.settle, pk, lee, uphold=False) for pk in pks))
    assert not Video.objects.filter(withdrawn=True).exists()
    assert campaign.triplets.get().state == "open"
    assert broken_promises(campaign) == []


def test_a_clip_stays_out_where_it_is_flagged_while_another_flag_is_dismissed(
    campaign: Campaign, alice: Any, bob: Any, lee: Any, annotator: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given, held = annotator(alice).next(campaign), annotator(bob).next(campaign)
    clip = given["left"]["id"]
    report(given, alice, clip)
    flag = Flag.objects.get()
    second = Thread(target=at_once, args=(lambda: report(held, bob, clip),))
    plain = flags._bring_back

    def bring_back(*words: Any) -> None:
        """Whether another flag stands was asked; now there is one, or it waits for us."""
        second.start()
        second.join(timeout=0.5)
        plain(*words)

    monkeypatch.setattr(flags, "_bring_back", bring_back)
    flags.settle(flag.pk, lee, uphold=False)
    second.join()
    states = Flag.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["dismissed", "open"]
    assert Video.objects.get(pk=clip).withdrawn
    assert campaign.triplets.get().state == "withdrawn"
    assert broken_promises(campaign) == []
