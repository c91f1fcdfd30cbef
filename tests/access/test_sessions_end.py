"""How long a log-in lasts: staff shorter than annotators, and nobody longer than they may."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from annotation.accounts import people, sessions
from annotation.models import Session

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Clock:
    """Moves what sessions look at: their own clock, and the one of the database's rows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.later = timedelta()
        real, wall = timezone.now, sessions.time.time
        monkeypatch.setattr(sessions.timezone, "now", lambda: real() + self.later)
        monkeypatch.setattr(sessions, "time", self)
        self._wall = wall

    def time(self) -> float:
        return self._wall() + self.later.total_seconds()

    def move(self, by: timedelta) -> None:
        self.later += by


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def logged_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def works(client: Client) -> bool:
    return client.get("/api/campaigns").status_code == 200


@pytest.mark.promise("S5")
@pytest.mark.parametrize(
    ("who", "idle"), [("lee", 2 * HOUR), ("mia", 2 * HOUR), ("alice", 7 * DAY)]
)
def test_an_idle_session_ends(request: Any, clock: Clock, who: str, idle: timedelta) -> None:
    client = logged_in(request.getfixturevalue(who))
    clock.move(idle - timedelta(minutes=1))
    assert works(client)
    clock.move(idle + timedelta(minutes=1))
    assert not works(client)


@pytest.mark.promise("S5")
@pytest.mark.parametrize(
    ("who", "whole", "step"),
    [("lee", 12 * HOUR, 1.5 * HOUR), ("olga", 12 * HOUR, HOUR), ("alice", 30 * DAY, 5 * DAY)],
)
def test_a_session_that_is_used_ends_too(
    request: Any, clock: Clock, who: str, whole: timedelta, step: timedelta
) -> None:
    client = logged_in(request.getfixturevalue(who))
    while clock.later + step < whole:
        clock.move(step)
        assert works(client), clock.later
    clock.move(whole - clock.later + timedelta(minutes=1))
    assert not works(client)


def test_the_cookie_ends_with_the_session(clock: Clock, lee: Any) -> None:
    client = logged_in(lee)
    clock.move(HOUR)
    cookie = client.get("/").cookies["sessionid"]
    assert cookie["max-age"] == 2 * 60 * 60
    clock.move(timedelta(hours=1.9))
    for _ in range(5):
        clock.move(timedelta(hours=1.75))
        client.get("/")
    assert int(client.cookies["sessionid"]["max-age"]) < 2 * 60 * 60


def test_who_works_on_writes_their_session_now_and_then(
    clock: Clock, alice: Any, django_assert_num_queries: Any
) -> None:
    """A vote must not pay for the end of a session."""
    client = logged_in(alice)
    client.get("/api/profile")
    clock.move(timedelta(minutes=5))
    with django_assert_num_queries(2):  # session with person, profile
        client.get("/api/profile")
    ends = Session.objects.get().expire_date
    clock.move(DAY)
    client.get("/api/profile")
    assert Session.objects.get().expire_date > ends + 0.9 * DAY


def test_who_becomes_staff_gets_the_shorter_limits_at_once(clock: Clock, alice: Any) -> None:
    client = logged_in(alice)
    people.give_role(alice, "lead")
    assert works(client)
    clock.move(2.1 * HOUR)
    assert not works(client)


def test_a_role_without_the_admin_counts_as_well(clock: Clock, charlie: Any) -> None:
    charlie.groups.add(Group.objects.get(name="ml_engineer"))
    client = logged_in(charlie)
    clock.move(2.1 * HOUR)
    assert not works(client)


def test_sessions_from_before_get_an_end(clock: Clock, lee: Any) -> None:
    client = logged_in(lee)
    session = client.session
    for name in ("session_began", "session_seen", "session_of_staff"):
        session.pop(name)
    session.save()
    Session.objects.update(expire_date=timezone.now() + 14 * DAY)
    assert works(client)
    clock.move(2.1 * HOUR)
    assert not works(client)


@pytest.mark.promise("S5")
@pytest.mark.parametrize("door", ["people", "admin", "rest"])
def test_who_is_disabled_has_no_session_left(olga: Any, alice: Any, door: str) -> None:
    """Also when the account is enabled again: what was open stays closed."""
    thief = logged_in(alice)
    operator = logged_in(olga)
    if door == "people":
        people.deactivate(olga, alice.pk)
    elif door == "admin":
        alice.is_active = False
        alice.save()
    else:
        path = f"/api/people/{alice.pk}/active"
        operator.put(path, {"active": False}, content_type="application/json")
    assert not Session.objects.filter(person=alice).exists()
    User.objects.filter(pk=alice.pk).update(is_active=True)
    assert not works(thief)
    assert works(operator)


@pytest.mark.mutant("S5")
def test_without_deleting_them_they_would_come_back(
    olga: Any, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "end_all", lambda _user: None)
    thief = logged_in(alice)
    people.deactivate(olga, alice.pk)
    assert not works(thief)
    User.objects.filter(pk=alice.pk).update(is_active=True)
    assert works(thief)


def test_old_rows_are_swept(clock: Clock, alice: Any) -> None:
    logged_in(alice)
    clock.move(8 * DAY)
    call_command("clearsessions")
    assert not Session.objects.exists()
