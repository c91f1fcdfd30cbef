"""Brute force is stopped, and cannot be aimed at others (RELIABILITY S4)."""

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.core.cache import caches
from django.test import Client, RequestFactory
from django.utils import timezone

from annotation.accounts.login_limits import client_address

pytestmark = pytest.mark.promise("S4")
LOGIN = "/accounts/login/"
RIGHT = "a long test password"


def attempt(
    password: str, *, username: str = "alice", address: str = "192.0.2.1", **more: Any
) -> Any:
    form = {"username": username, "password": password}
    return Client().post(LOGIN, form, REMOTE_ADDR=address, **more)


def fail(times: int, **who: Any) -> list[int]:
    return [attempt("wrong", **who).status_code for _ in range(times)]


def test_the_fifth_failure_locks_and_the_right_password_does_not_help(alice: Any) -> None:
    assert fail(5) == [200, 200, 200, 200, 429]
    locked = attempt(RIGHT)
    assert locked.status_code == 429
    assert locked["Retry-After"] == "900"
    assert "15 minutes" in locked.content.decode()


def test_nobody_is_locked_out_by_a_stranger(alice: Any) -> None:
    fail(20)
    assert attempt(RIGHT, address="192.0.2.2").status_code == 302


def test_a_lock_says_nothing_on_whether_there_is_such_an_account(alice: Any) -> None:
    known, unknown = attempt("wrong"), attempt("wrong", username="nobody")
    assert known.status_code == unknown.status_code == 200
    fail(4), fail(4, username="nobody")
    pages = [attempt("wrong"), attempt("wrong", username="nobody")]
    assert [page.status_code for page in pages] == [429, 429]
    assert len({page.content.split(b"<main")[1] for page in pages}) == 1


def test_a_spoofed_header_changes_nothing(alice: Any) -> None:
    codes = [attempt("wrong", HTTP_X_FORWARDED_FOR=f"10.0.0.{n}").status_code for n in range(50)]
    assert codes[4:] == [429] * 46


def test_other_browsers_of_the_same_address_are_counted_together(alice: Any) -> None:
    codes = [attempt("wrong", HTTP_USER_AGENT=f"browser {n}").status_code for n in range(6)]
    assert codes[4:] == [429, 429]


def test_one_address_does_not_try_many_names(alice: Any) -> None:
    for n in range(50):
        attempt("wrong", username=f"guess {n}")
    assert attempt(RIGHT).status_code == 429


def test_the_limit_needs_no_cache(alice: Any) -> None:
    for _ in range(5):
        attempt("wrong")
        caches["default"].clear()
    assert attempt(RIGHT).status_code == 429


def test_a_lock_ends_by_itself(alice: Any) -> None:
    fail(5)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timezone.timedelta(minutes=16))
    assert attempt(RIGHT).status_code == 302


def test_a_success_forgets_the_failures(alice: Any) -> None:
    fail(4)
    assert attempt(RIGHT).status_code == 302
    assert fail(4) == [200] * 4


def test_no_password_is_kept(alice: Any) -> None:
    attempt("a secret slip")
    assert "a secret slip" not in str(list(AccessAttempt.objects.values()))


@pytest.mark.parametrize(
    ("proxies", "header", "address"),
    [
        (0, "198.51.100.7", "192.0.2.1"),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        (2, "6.6.6.6, 198.51.100.7, 10.0.0.1", "198.51.100.7"),
        (2, "198.51.100.7", "192.0.2.1"),
        (1, "", "192.0.2.1"),
    ],
)
def test_only_our_own_proxies_are_believed(
    settings: Any, rf: RequestFactory, proxies: int, header: str, address: str
) -> None:
    settings.TIEBREAK_PROXIES = proxies
    request = rf.get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=header)
    assert client_address(request) == address
