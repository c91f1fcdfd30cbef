"""A link by e-mail for whoever has an account; the answer never says who has one."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client

from annotation.accounts import forms as account_forms

RESET = "/accounts/password_reset/"
NEW = "a quiet instrument"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: Any) -> None:
    """The mail is sent beside the request; here, before it ends."""

    class AtOnce:
        def __init__(self, target: Any, name: str) -> None:
            self.start = target

    monkeypatch.setattr(account_forms.threading, "Thread", AtOnce)


@pytest.fixture
def dora(alice: Any) -> Any:
    alice.email = "alice@example.org"
    alice.save()
    return alice


def ask(address: str, **headers: str) -> Any:
    return Client().post(RESET, {"email": address}, headers=headers)


def test_the_link_of_the_mail_sets_the_password(dora: Any) -> None:
    assert ask("Alice@Example.org").status_code == 302
    (message,) = mail.outbox
    assert message.to == ["alice@example.org"]
    path = re.search(r"http://testserver(/accounts/reset/\S+)", message.body)
    assert path
    browser = Client()
    form = browser.get(path[1])["Location"]
    assert browser.post(form, {"new_password1": NEW, "new_password2": NEW}).status_code == 302
    assert User.objects.get(pk=dora.pk).check_password(NEW)


def test_the_answer_does_not_say_who_has_an_account(dora: Any) -> None:
    known, unknown = ask("alice@example.org"), ask("nobody@example.org")
    assert known.status_code == unknown.status_code == 302
    assert known["Location"] == unknown["Location"]
    assert len(mail.outbox) == 1


def test_sending_does_not_hold_the_answer_up(dora: Any, monkeypatch: Any) -> None:
    started = []

    class Beside:
        def __init__(self, target: Any, name: str) -> None:
            started.append(target)

        def start(self) -> None:
            """Somewhere else."""

    monkeypatch.setattr(account_forms.threading, "Thread", Beside)
    assert ask("alice@example.org").status_code == 302
    assert len(started) == 1
    assert mail.outbox == []


def test_a_mailbox_is_not_flooded(dora: Any) -> None:
    for _ in range(20):
        ask("alice@example.org")
    assert len(mail.outbox) == 1


def test_a_look_alike_address_gets_nothing(dora: Any) -> None:
    ask("alıce@example.org")
    assert mail.outbox == []


def test_who_never_set_a_password_gets_a_link_too(dora: Any) -> None:
    dora.set_unusable_password()
    dora.save()
    ask("alice@example.org")
    assert len(mail.outbox) == 1


def test_a_deactivated_account_gets_nothing(dora: Any) -> None:
    User.objects.update(is_active=False)
    ask("alice@example.org")
    assert mail.outbox == []


def test_the_mail_does_not_point_to_another_host(dora: Any) -> None:
    answer = Client().post(RESET, {"email": "alice@example.org"}, HTTP_HOST="evil.example")
    assert answer.status_code == 400
    assert mail.outbox == []


@pytest.mark.django_db
def test_a_site_without_e_mail_says_so(settings: Any, client: Client) -> None:
    settings.TIEBREAK_SENDS_MAIL = False
    page = client.get(RESET).content.decode()
    assert "Ask your lead" in page
    assert '<input type="email"' not in page
