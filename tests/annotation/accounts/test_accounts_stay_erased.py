"""Who was erased or deactivated stays so, whatever form was open meanwhile."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from annotation.accounts import erasing, people
from annotation.accounts.people import link_for
from tests.conftest import PASSWORD

NEW = "a quiet instrument"
NEW_TWICE = {"new_password1": NEW, "new_password2": NEW}


def browser_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    session = client.session
    session["fresh_login"] = int(time.time())
    session.save()
    return client


def change(user: Any) -> tuple[Client, str, dict[str, str]]:
    return browser_of(user), "/accounts/password_change/", {"old_password": PASSWORD, **NEW_TWICE}


def reset(user: Any) -> tuple[Client, str, dict[str, str]]:
    client = Client()
    return client, client.get(link_for(user).path)["Location"], NEW_TWICE


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """After the account was read for the form, and before it is saved."""
    plain, waiting = User.set_password, [act]

    def set_password(self: User, raw: str | None) -> None:
        while waiting:
            waiting.pop()()
        plain(self, raw)

    monkeypatch.setattr(User, "set_password", set_password)


@pytest.mark.parametrize("form", [change, reset])
@pytest.mark.parametrize("act", [erasing.erase, people.deactivate])
def test_a_password_that_is_set_meanwhile_gives_no_account_back(
    alice: Any, olga: Any, monkeypatch: pytest.MonkeyPatch, form: Any, act: Any
) -> None:
    client, page, data = form(alice)
    meanwhile(monkeypatch, lambda: act(olga, alice.pk))
    assert client.post(page, data).status_code == 403
    row = User.objects.get(pk=alice.pk)
    assert not row.is_active
    assert not row.check_password(NEW)
    assert erasing.is_erased(row) == row.username.startswith("erased-") == (act is erasing.erase)


@pytest.mark.parametrize("form", [change, reset])
def test_a_new_password_leaves_the_rest_of_the_account_alone(
    alice: Any, monkeypatch: pytest.MonkeyPatch, form: Any
) -> None:
    client, page, data = form(alice)
    others = User.objects.filter(pk=alice.pk)
    meanwhile(monkeypatch, lambda: others.update(email="new@example.org"))
    assert client.post(page, data).status_code == 302
    row = others.get()
    assert row.check_password(NEW)
    assert (row.email, row.is_active) == ("new@example.org", True)


def filled(client: Client, page: str) -> dict[str, Any]:
    form = client.get(page).context["adminform"].form
    data: dict[str, Any] = {}
    for name in form.fields:
        value = form[name].value()
        if hasattr(value, "strftime"):
            data |= {f"{name}_0": f"{value:%Y-%m-%d}", f"{name}_1": f"{value:%H:%M:%S}"}
        elif value is not None and value is not False and name != "password":
            data[name] = value
    return data


def test_a_form_of_the_admin_gives_no_erased_account_back(alice: Any, olga: Any) -> None:
    client, page = browser_of(olga), f"/admin/auth/user/{alice.pk}/change/"
    data = filled(client, page)
    given = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    erasing.erase(olga, alice.pk)
    assert client.post(page, data).status_code == 403
    password = client.post(f"/admin/auth/user/{alice.pk}/password/", given)
    assert password.status_code == 403
    row = User.objects.get(pk=alice.pk)
    assert (row.is_active, row.has_usable_password()) == (False, False)
    assert row.username.startswith("erased-")
    assert client.get(page).status_code == 200  # to be read


@pytest.mark.parametrize("act", [erasing.erase, people.deactivate])
def test_a_form_of_the_admin_that_is_saved_meanwhile_saves_what_was_changed_alone(
    alice: Any, olga: Any, monkeypatch: pytest.MonkeyPatch, act: Any
) -> None:
    client, page = browser_of(olga), f"/admin/auth/user/{alice.pk}/change/"
    data = {**filled(client, page), "first_name": "Alix"}
    plain, waiting = User.full_clean, [act]

    def full_clean(self: User, *words: Any, **named: Any) -> None:
        while waiting:
            waiting.pop()(olga, alice.pk)
        plain(self, *words, **named)

    monkeypatch.setattr(User, "full_clean", full_clean)
    answer = client.post(page, data)
    row = User.objects.get(pk=alice.pk)
    if act is erasing.erase:  # here in the transaction of the page, which was given up
        assert (answer.status_code, row.first_name) == (403, "")
    else:
        assert (answer.status_code, row.first_name, row.is_active) == (302, "Alix", False)


def test_an_operator_sets_a_password_in_the_admin(alice: Any, olga: Any) -> None:
    people.deactivate(olga, alice.pk)
    given = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    page = f"/admin/auth/user/{alice.pk}/password/"
    assert browser_of(olga).post(page, given | {"set-password": "1"}).status_code == 302
    assert User.objects.get(pk=alice.pk).check_password(NEW)
