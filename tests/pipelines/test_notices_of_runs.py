"""Who is told that a run has ended: in the pages, by e-mail, as each person wants it."""

import smtplib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse

from pipelines import lifecycle, notices, worker
from pipelines.models import Notice, Run, RunState
from pipelines.starting import cancel_run, retry_run, start_run
from tests.pipelines.loop_world import make_campaign

pytestmark = pytest.mark.django_db

Start = Callable[..., Run]


@pytest.fixture
def start(short_times: Any, test_kinds: None, mia: Any) -> Start:
    def queue(inputs: Any = None, *, user: Any = mia, **config: Any) -> Run:
        return start_run("counting", config, inputs, user=user, name=config.pop("name", "Counted"))

    return queue


def _ended(run: Run, state: RunState, **changes: Any) -> Run:
    taken = lifecycle.claim([run.queue], "h:1:2", run_id=run.pk)
    assert taken is not None
    assert lifecycle.move(taken, RunState.RUNNING)
    if state == RunState.SUCCEEDED:
        assert lifecycle.move(taken, RunState.COMMITTING)
    assert lifecycle.move(taken, state, **changes)
    return taken


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _told(user: Any) -> list[tuple[int, str]]:
    return [(each.run_id, each.state) for each in Notice.objects.filter(user=user).order_by("pk")]


def test_the_one_who_started_a_run_is_told_of_its_end_and_nobody_else(
    start: Start, mia: Any, lee: Any
) -> None:
    run = _ended(start(), RunState.FAILED, reason="crash", message="It fell.")
    assert _told(mia) == [(run.pk, "failed")]
    assert Notice.objects.get().text == "It fell."
    assert not _told(lee)
    _ended(start(user=None), RunState.FAILED)
    assert Notice.objects.count() == 1


def test_a_run_that_ends_twice_is_told_of_twice(start: Start, mia: Any) -> None:
    run = _ended(start(), RunState.FAILED)
    retry_run(run)
    _ended(run, RunState.SUCCEEDED)
    assert _told(mia) == [(run.pk, "failed"), (run.pk, "succeeded")]


def test_a_notice_exists_only_if_its_end_came_to_be(start: Start, mia: Any) -> None:
    run = start()
    stale = Run.objects.get(pk=run.pk)
    assert lifecycle.move(run, RunState.FAILED)
    assert not lifecycle.move(stale, RunState.CANCELLED)
    assert _told(mia) == [(run.pk, "failed")]


def test_of_a_chain_the_last_run_tells_and_every_failure(start: Start, mia: Any) -> None:
    first = start()
    second = start({"before": first})
    _ended(first, RunState.SUCCEEDED)
    assert not _told(mia)
    _ended_with_output(first)
    _ended(second, RunState.SUCCEEDED)
    assert _told(mia) == [(second.pk, "succeeded")]


def _ended_with_output(run: Run) -> None:
    run.artifacts.create(kind="scores", path=f"{run.pk}/outputs/x", sha256="0" * 64)


def test_what_failed_for_want_of_another_failure_is_not_told_again(start: Start, mia: Any) -> None:
    first = start()
    start({"before": first})
    _ended(first, RunState.FAILED)
    assert lifecycle.fail_without_inputs()
    assert _told(mia) == [(first.pk, "failed")]


def test_who_cancels_a_run_knows_it_and_its_owner_is_told(
    start: Start, mia: Any, olga: Any
) -> None:
    cancel_run(start(), mia)
    assert not _told(mia)
    run = cancel_run(start(), olga)
    assert _told(mia) == [(run.pk, "cancelled")]


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ("chains", ["failed", "succeeded"]),
        ("all", ["succeeded", "failed", "succeeded"]),
        ("failures", ["failed"]),
        ("none", []),
    ],
)
def test_people_are_told_what_they_want(start: Start, mia: Any, ends: str, told: list[str]) -> None:
    notices.wish(mia, ends=ends, by_mail=False)
    first = start()
    last = start({"before": first})
    _ended(first, RunState.SUCCEEDED)
    _ended(start(), RunState.FAILED)
    _ended(last, RunState.SUCCEEDED)
    assert [state for _, state in _told(mia)] == told


def test_people_who_left_are_told_nothing(start: Start, mia: Any) -> None:
    run = start()
    mia.is_active = False
    mia.save()
    _ended(run, RunState.FAILED)
    assert not Notice.objects.exists()


# E-mail.


@pytest.fixture
def by_mail(mia: Any, settings: Any) -> Any:
    settings.TIEBREAK_SENDS_MAIL = True
    settings.TIEBREAK_SITE_URL = "https://tiebreak.example"
    mia.email = "mia@tiebreak.example"
    mia.save()
    notices.wish(mia, ends="all", by_mail=True)
    return mia


def test_a_worker_sends_what_waits_once(start: Start, by_mail: Any) -> None:
    run = _ended(start(name="Night\r\nBcc: x@y.example"), RunState.FAILED, message="It fell.")
    worker.tidy()
    worker.tidy()
    (letter,) = mail.outbox
    assert letter.to == ["mia@tiebreak.example"]
    assert letter.subject.startswith("Tiebreak: Night Bcc: x@y.example (run")
    assert letter.subject.endswith("has failed")
    assert "It fell." in letter.body
    assert f"https://tiebreak.example/runs/{run.pk}/" in letter.body
    assert Notice.objects.get().mail == "sent"


@pytest.mark.parametrize("missing", ["address", "wish", "site"])
def test_no_letter_goes_where_one_of_three_is_missing(
    start: Start, by_mail: Any, settings: Any, missing: str
) -> None:
    if missing == "address":
        by_mail.email = ""
        by_mail.save()
    elif missing == "wish":
        notices.wish(by_mail, ends="all", by_mail=False)
    else:
        settings.TIEBREAK_SENDS_MAIL = False
    _ended(start(), RunState.FAILED)
    worker.tidy()
    assert not mail.outbox
    assert Notice.objects.get().mail == "not_wanted"


def test_a_server_that_refuses_is_asked_three_times_and_the_page_says_so(
    start: Start, by_mail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(*words: Any, **_: Any) -> None:
        asked.append(words)
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr(notices, "send_mail", refuse)
    _ended(start(), RunState.FAILED)
    while notices.send_one():
        pass
    assert len(asked) == 3
    assert Notice.objects.get().mail == "failed"
    html = _as(by_mail).get("/notices/").content.decode()
    assert "the e-mail could not be sent" in html


@pytest.mark.django_db(transaction=True)
def test_several_workers_send_each_letter_once(start: Start, by_mail: Any) -> None:
    for _ in range(6):
        _ended(start(), RunState.FAILED)
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        while notices.send_one():
            pass
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mail.outbox) == 6
    assert set(Notice.objects.values_list("mail", flat=True)) == {"sent"}


# Pages.


def test_the_inbox_shows_what_ended_and_the_frame_how_much_is_new(
    start: Start, mia: Any, lee: Any
) -> None:
    run = _ended(start(name="<b>Night</b>"), RunState.FAILED, message="It <i>fell</i>.")
    html = _as(mia).get("/notices/").content.decode()
    assert "&lt;b&gt;Night&lt;/b&gt;" in html
    assert "It &lt;i&gt;fell&lt;/i&gt;." in html
    assert f'href="/runs/{run.pk}/"' in html
    assert ">1</span></a>" in html
    assert "Nothing has ended yet." in _as(lee).get("/notices/").content.decode()


def test_notices_are_read_one_by_one_or_all_and_only_ones_own(
    start: Start, mia: Any, lee: Any
) -> None:
    for _ in range(3):
        _ended(start(), RunState.FAILED)
    first = Notice.objects.order_by("pk")[0]
    read = reverse("pipelines:notices-read")
    _as(lee).post(read, {"notice": first.pk})
    assert notices.unread(mia) == 3
    _as(mia).post(read, {"notice": first.pk})
    assert notices.unread(mia) == 2
    _as(mia).post(read)
    assert notices.unread(mia) == 0


def test_opening_a_run_reads_its_notice(start: Start, mia: Any, lee: Any) -> None:
    run = _ended(start(), RunState.FAILED)
    _as(lee).get(f"/runs/{run.pk}/")
    assert notices.unread(mia) == 1
    _as(mia).get(f"/runs/{run.pk}/")
    assert notices.unread(mia) == 0


def test_what_is_wanted_is_chosen_on_the_page(mia: Any) -> None:
    client, path = _as(mia), reverse("pipelines:notices-choose")
    client.post(path, {"ends": "failures", "by_mail": "on"})
    mia.refresh_from_db()
    assert (mia.notice_wish.ends, mia.notice_wish.by_mail) == ("failures", True)
    client.post(path, {"ends": "everything"})
    assert notices.wish_of(type(mia).objects.get(pk=mia.pk)).ends == "failures"


def test_live_pages_hear_of_new_notices(start: Start, mia: Any) -> None:
    run = _ended(start(), RunState.FAILED)
    assert _as(mia).get(f"/runs/{run.pk}/live").json()["unread"] == 1
    assert _as(mia).get("/runs/live", {"id": run.pk}).json()["unread"] == 1


def test_annotators_have_no_inbox(alice: Any) -> None:
    assert _as(alice).get("/notices/").status_code == 403


def test_a_loop_from_votes_to_report_tells_once(mia: Any) -> None:
    from pipelines.loops.chain import start_loop
    from tests.pipelines.loop_world import loop_config, play_all

    group = start_loop(make_campaign(user=mia), loop_config(), mia)
    play_all(group)
    (only,) = Notice.objects.filter(user=mia)
    assert only.run.kind == "report"
