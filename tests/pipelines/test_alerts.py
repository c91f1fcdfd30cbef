"""What an operator wants to know, each within two minutes of its beginning, and nothing else."""

import shutil
import uuid
from collections import namedtuple
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation.models import Lease, Slot, SlotState, Vote
from pipelines import alerts, worker
from pipelines.models import Alert, Run, RunState
from tests.annotation.conftest import bare_campaign

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def site(db: None, settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A disk with room, whatever the machine's is; watching is never put off."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 << 30, 40 << 30, 60 << 30))
    settings.TIEBREAK_ALERT_EVERY_SECONDS = 0
    settings.VAR = settings.MEDIA_ROOT = settings.RUNS_ROOT = tmp_path
    return settings


def keys() -> list[str]:
    return [each.key for each in alerts.findings()]


def ago(seconds: float) -> Any:
    return timezone.now() - timedelta(seconds=seconds)


def held(people: int, seconds: float) -> Any:
    """A campaign whose pairs lie before so many people, for so long."""
    campaign = bare_campaign(people)
    slots = Slot.objects.filter(campaign=campaign, n=1).select_related("triplet")
    for number, slot in enumerate(slots):
        user = User.objects.create(username=f"{campaign.pk}-{number}")
        lease = Lease.objects.create(
            annotator=user, slot=slot, triplet=slot.triplet, swap=False, tab=uuid.uuid4(),
            issued_at=ago(seconds),
        )  # fmt: skip
        Slot.objects.filter(pk=slot.pk).update(
            state=SlotState.LEASED, holder=user, seat=1, lease_token=lease.token,
            lease_expires=timezone.now() + timedelta(minutes=5),
        )  # fmt: skip
    return campaign


def queued(**fields: Any) -> Run:
    fields = {"state": RunState.QUEUED, "created_at": ago(300), **fields}
    return Run.objects.create(kind="counting", config={}, config_sha="0" * 64, **fields)


def running(*, quiet: float, step: int = 10) -> Run:
    return queued(
        state=RunState.RUNNING, owner="elsewhere:1:1", started_at=ago(quiet + 20), step=step,
        progress_at=ago(quiet), lease_until=timezone.now() + timedelta(minutes=1),
    )  # fmt: skip


@pytest.mark.promise("O2")
def test_a_site_at_work_raises_nothing() -> None:
    held(3, 100)
    worker.beat(worker.owner_name(), ["default", "io", "gpu"], slots=1)
    queued()
    running(quiet=30)
    assert alerts.watch() == []


@pytest.mark.promise("O2")
def test_people_at_work_whose_votes_do_not_come_are_noticed_within_two_minutes() -> None:
    campaign = held(3, 121)
    (found,) = alerts.findings()
    assert (found.key, found.about) == ("no_votes", campaign.name)
    assert "3 annotators" in found.message


def test_one_person_who_looks_closely_is_left_in_peace() -> None:
    held(1, 300)
    assert keys() == []
    held(1, 361)
    assert keys() == ["no_votes"]


def test_a_vote_of_anybody_shows_that_votes_arrive() -> None:
    campaign = held(3, 500)
    slot = Slot.objects.filter(campaign=campaign, state=SlotState.LEASED).first()
    assert slot is not None
    lease = Lease.objects.get(token=slot.lease_token)
    Vote.objects.create(
        campaign=campaign, annotator=lease.annotator, triplet=slot.triplet, lease=lease,
        slot=slot, state="counted", submitted_at=ago(60), swap=False, req_hash="0" * 64,
    )  # fmt: skip
    assert keys() == []


@pytest.mark.promise("O2")
def test_a_queue_without_a_worker_is_noticed_and_one_that_waits_for_its_input_is_not() -> None:
    first = queued(queue="gpu")
    consumer = queued()
    consumer.inputs.create(role="before", producer=first, producer_kind="scores")
    (found,) = alerts.findings()
    assert (found.key, found.about) == ("no_worker", "gpu")
    assert f"run {first.pk} first" in found.message
    worker.beat(worker.owner_name(), ["gpu"], slots=1)
    assert keys() == []
    queued(created_at=ago(10))  # not yet
    assert keys() == []


@pytest.mark.promise("O2")
def test_a_frozen_run_is_noticed_long_before_the_watchdog_acts(settings: Any) -> None:
    run = running(quiet=61, step=100)
    (found,) = alerts.findings()
    assert (found.key, found.about) == ("frozen_run", f"run {run.pk}")
    Run.objects.update(step=1)  # a step takes 20 s: it may well be at work
    assert keys() == []
    Run.objects.update(step=0)
    assert keys() == []
    Run.objects.update(progress_at=ago(settings.TIEBREAK_RUN_HANG_SECONDS / 2 + 1))
    assert keys() == ["frozen_run"]


@pytest.mark.promise("O2")
def test_a_disk_that_is_nearly_full_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 << 30, 90 << 30, 10 << 30))
    (found,) = alerts.findings()
    assert found.key == "full_disk"
    assert "90% full" in found.message
    assert "10.0 GiB" in found.message


@pytest.mark.promise("O2")
@pytest.mark.parametrize(("by", "word"), [(60, "ahead of"), (-60, "behind")])
def test_a_clock_that_is_not_the_database_s_is_noticed(
    by: float, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_time = alerts.time.time
    monkeypatch.setattr(alerts.time, "time", lambda: true_time() + by)
    (found,) = alerts.findings()
    assert found.key == "wrong_clock"
    assert f"60 s {word}" in found.message


def test_an_alert_is_told_once_kept_while_it_stands_and_ended(
    settings: Any, mailoutbox: list[Any], caplog: Any
) -> None:
    settings.TIEBREAK_SENDS_MAIL = True
    User.objects.create_superuser("op", "op@example.org")
    User.objects.create_user("lea", "lea@example.org")
    run = queued(queue="gpu")
    (first,) = alerts.watch()
    queued(queue="gpu")
    (again,) = alerts.watch()
    assert again.pk == first.pk
    assert again.message.startswith("2 runs")
    assert [each.to for each in mailoutbox] == [["op@example.org"]]
    assert "manage.py worker --queues gpu" in mailoutbox[0].body
    assert caplog.text.count("alert no_worker") == 1
    Run.objects.all().update(state=RunState.CANCELLED)
    assert alerts.watch() == []
    assert Alert.objects.get(pk=first.pk).ended_at is not None
    Run.objects.filter(pk=run.pk).delete()
    queued(queue="gpu")
    assert alerts.watch()[0].pk != first.pk


def test_what_another_host_says_of_itself_stays_its_own() -> None:
    Alert.objects.create(key="wrong_clock", about="another-host", message="m", advice="a")
    assert [each.about for each in alerts.watch()] == ["another-host"]


def test_two_that_see_it_at_once_keep_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = alerts.Finding("no_worker", "gpu", "m", "a")
    filtered = Alert.objects.filter

    def nothing_yet(*args: Any, **kwargs: Any) -> Any:
        """The other one writes between our look and our own row."""
        rows = filtered(*args, **kwargs)
        if kwargs.get("about") == "gpu" and not rows.exists():
            Alert.objects.create(key="no_worker", about="gpu", message="theirs", advice="a")
            return rows.none()
        return rows

    monkeypatch.setattr(Alert.objects, "filter", nothing_yet)
    alerts._keep(found)
    monkeypatch.undo()
    assert Alert.objects.get().message == "theirs"


def test_the_command_says_what_stands_and_fails(capsys: Any) -> None:
    call_command("check_alerts")
    assert "nothing is wrong" in capsys.readouterr().out
    queued(queue="gpu")
    with pytest.raises(CommandError, match="1 alerts stand"):
        call_command("check_alerts")
    assert "no_worker (gpu)" in capsys.readouterr().out


def test_leads_see_the_page_and_it_looks_anew(client: Any) -> None:
    client.force_login(User.objects.create_superuser("op"))
    assert "Nothing is wrong" in client.get("/alerts/").content.decode()
    queued(queue="gpu")
    for address in ("/alerts/", "/runs/"):
        assert "no worker that may take them" in client.get(address).content.decode()


def test_an_alert_that_another_process_raises_meanwhile_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    finding = alerts.Finding("no_worker", "gpu", "No worker.", "Start one.")
    looks = iter([[], [finding]])

    def looked() -> list[alerts.Finding]:
        found = next(looks)
        if not found:
            alerts._keep(finding)  # the other one, which looked a moment later
        return found

    monkeypatch.setattr(alerts, "_mail", lambda each: told.append(each.key))
    monkeypatch.setattr(alerts, "findings", looked)
    alerts.watch()
    assert [each.key for each in alerts.watch()] == ["no_worker"]
    assert told == ["no_worker"]
