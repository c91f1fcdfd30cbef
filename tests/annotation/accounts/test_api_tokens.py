"""Tokens of programs: shown once, kept as a hash, bounded in number, time and pace."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from annotation.accounts.tokens import TokenRefused, make_token, revoke_token
from annotation.models import ApiToken

pytestmark = pytest.mark.django_db


def asked(secret: str, path: str = "/api/campaigns", **options):
    return Client().get(path, headers={"Authorization": f"Bearer {secret}"}, **options)


def test_a_token_opens_the_doors_of_its_owner_and_nothing_of_it_is_kept(alice):
    token, secret = make_token(alice, "my laptop")
    assert asked(secret).status_code == 200
    assert asked(secret, "/api/dimension-sets").json()["code"] == "not_allowed"
    token.refresh_from_db()
    assert token.last_used_at is not None
    kept = [str(value) for value in ApiToken.objects.values_list().get()]
    assert not any(secret[8:] in value for value in kept)


@pytest.mark.parametrize("what", ["revoked", "expired", "unknown", "inactive", "in the query"])
def test_a_token_that_is_not_good_is_told_so(alice, what):
    token, secret = make_token(alice, "x")
    if what == "revoked":
        revoke_token(alice, token.pk)
    elif what == "expired":
        ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif what == "inactive":
        alice.is_active = False
        alice.save()
    if what == "in the query":
        answer = Client().get(f"/api/campaigns?token={secret}")
    else:
        answer = asked(secret if what != "unknown" else "tb_guess")
    assert answer.status_code == 401
    assert set(answer.json()) == {"error", "code"}


def test_a_token_cannot_be_revoked_by_others(alice, bob):
    token, secret = make_token(alice, "x")
    client = Client()
    client.force_login(bob)
    assert client.delete(f"/api/tokens/{token.pk}").status_code == 404
    assert asked(secret).status_code == 200


@pytest.mark.parametrize(("name", "days"), [("", 1), ("x" * 101, 1), ("x", 0), ("x", 400)])
def test_a_token_needs_a_name_and_an_end(alice, name, days):
    with pytest.raises(TokenRefused):
        make_token(alice, name, days=days)
    assert not ApiToken.objects.exists()


def test_tokens_are_made_and_revoked_on_their_page(alice, client):
    client.force_login(alice)
    page = client.post(
        "/tokens/", {"name": "for the loop", "days": 7, "scopes": ["vote", "read:campaigns"]}
    )
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert secret not in client.get("/tokens/").content.decode()
    assert asked(secret).status_code == 200
    assert client.post("/tokens/", {"name": "", "days": 7}).status_code == 422
    token = ApiToken.objects.get()
    assert client.post(f"/tokens/{token.pk}/revoke/").status_code == 302
    assert asked(secret).status_code == 401
    assert "for the loop" not in client.get("/tokens/").content.decode()


def test_a_token_is_made_through_rest_and_by_command(lee, client, capsys):
    client.force_login(lee)
    made = client.post(
        "/api/tokens",
        {"name": "x", "scopes": ["read:campaigns"]},
        content_type="application/json",
    ).json()
    assert asked(made["token"]).status_code == 200
    assert "token" not in client.get("/api/tokens").json()["tokens"][0]
    call_command("make_token", "lee", name="nightly", days=3)
    assert asked(capsys.readouterr().out.strip()).status_code == 200


def test_programs_are_slowed_down_and_browsers_are_not(alice, settings):
    settings.TIEBREAK_TOKEN_RATE = "3/min"
    _, secret = make_token(alice, "x")
    _, second = make_token(alice, "y")
    assert [asked(each).status_code for each in (secret, second, secret, second)] == [200] * 3 + [
        429
    ]
    answer = asked(secret)
    assert answer.json()["code"] == "throttled"
    assert int(answer["Retry-After"]) <= 60
    browser = Client()
    browser.force_login(alice)
    assert {browser.get("/api/campaigns").status_code for _ in range(6)} == {200}


def test_guesses_are_counted_by_address_and_a_forged_address_changes_nothing(alice, settings):
    settings.TIEBREAK_STRANGER_RATE = "5/min"
    answers = [
        Client()
        .get(
            "/api/campaigns",
            headers={"Authorization": f"Bearer tb_{n}", "X-Forwarded-For": f"10.0.0.{n}"},
        )
        .status_code
        for n in range(8)
    ]
    assert answers == [401] * 5 + [429] * 3
    _, secret = make_token(alice, "x")
    assert asked(secret).status_code == 200  # who has a token is not a stranger


def test_costly_doors_have_a_limit_for_everybody(lee, settings, make_campaign, client):
    settings.TIEBREAK_COSTLY_RATE = "2/min"
    campaign = make_campaign(1)
    client.force_login(lee)
    path = f"/api/campaigns/{campaign.pk}/export?what=votes"
    assert [client.get(path).status_code for _ in range(3)] == [200, 200, 429]
