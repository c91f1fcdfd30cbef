"""Log-in by another service, against a provider of OpenID Connect on loopback."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount, SocialToken
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import User
from django.test import Client

from tests.conftest import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
START, BACK = "/accounts/oidc/sso/login/", "/accounts/oidc/sso/login/callback/"


@dataclass
class Provider:
    """Says who somebody is, as the standard has it: code, PKCE, signed token, user info."""

    url: str = ""
    subject: str = "4711"
    claims: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    audience: str = "tiebreak"
    asked: list[str] = field(default_factory=list)

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def authorize(self, address: str) -> dict[str, str]:
        """What the person's browser brings back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        known = (form.get("client_id"), form.get("client_secret")) == ("tiebreak", "of the client")
        if asked is None or not known or asked["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant"}
        claims = {
            "iss": self.url, "aud": self.audience, "sub": self.subject, "exp": time.time() + 60,
            "iat": time.time(), **self.claims,
        }  # fmt: skip
        signed = jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "1"})
        return 200, {"access_token": "access", "token_type": "Bearer", "id_token": signed}


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            if self.path.startswith("/.well-known/"):
                self._say(200, provider.configuration())
            elif self.headers.get("Authorization") == "Bearer access":
                self._say(200, {"sub": provider.subject, **provider.claims})
            else:
                self._say(401, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._say(*provider.token({name: v[0] for name, v in parse_qs(body).items()}))

        def _say(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    known = Provider(claims={"preferred_username": "dana", "email": "dana@example.org"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(known))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    known.url = f"http://127.0.0.1:{server.server_port}"
    app = {
        "provider_id": "sso", "name": "Our Institute", "client_id": "tiebreak",
        "secret": "of the client", "settings": {"server_url": known.url},
    }  # fmt: skip
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}
    }
    yield known
    server.shutdown()
    server.server_close()
    thread.join()


def come_in(client: Client, provider: Provider, **query: str) -> Any:
    """Press the button, be known there, come back."""
    start = client.post(_with(START, query))
    assert start.status_code == 302, start.content
    assert start["Location"].startswith(f"{provider.url}/authorize?")
    return client.get(BACK, provider.authorize(start["Location"]))


def _with(path: str, query: dict[str, str]) -> str:
    return path + ("?" + "&".join(f"{name}={value}" for name, value in query.items()))


def person_in(client: Client) -> str:
    answer = client.get("/account/")
    return str(answer.wsgi_request.user.username) if answer.status_code == 200 else ""


def test_the_log_in_page_offers_it(provider: Provider, db: None) -> None:
    html = Client().get("/accounts/login/").content.decode()
    assert "Our Institute" in html
    assert f'action="{START}' in html


def test_without_a_configuration_there_is_no_button(db: None) -> None:
    assert START not in Client().get("/accounts/login/").content.decode()
    assert Client().post(START).status_code == 404


def test_an_unknown_person_gets_no_account(provider: Provider, db: None) -> None:
    client = Client()
    answer = come_in(client, provider)
    assert "closed" in answer.content.decode().lower()
    assert not User.objects.exists()
    assert person_in(client) == ""


@pytest.mark.parametrize(("role", "groups"), [("annotator", ["annotator"]), ("none", [])])
def test_where_the_site_says_so_they_get_one(
    provider: Provider, settings: Any, role: str, groups: list[str], alice: Any
) -> None:
    settings.TIEBREAK_OIDC_ROLE = role
    client = Client()
    assert come_in(client, provider)["Location"] == "/"
    dana = User.objects.get(username="dana")
    assert list(dana.groups.values_list("name", flat=True)) == groups
    assert (dana.is_staff, dana.is_superuser, dana.has_usable_password()) == (False, False, False)
    assert person_in(client) == "dana"
    assert not SocialToken.objects.exists()  # nothing of the service is kept that opens it
    again = Client()
    come_in(again, provider)
    assert person_in(again) == "dana"
    assert User.objects.filter(username="dana").count() == 1


def test_an_account_is_never_taken_by_its_address_or_name(
    provider: Provider, settings: Any, olga: Any
) -> None:
    """Addresses are typed by people; a service that claims one does not get the account."""
    settings.TIEBREAK_OIDC_ROLE = "annotator"
    User.objects.filter(pk=olga.pk).update(email="olga@example.org")
    provider.claims = {
        "preferred_username": "olga", "email": "olga@example.org", "email_verified": True,
        "is_superuser": True, "groups": ["ml_engineer"],
    }  # fmt: skip
    client = Client()
    come_in(client, provider)
    assert person_in(client) != "olga"
    made = User.objects.exclude(pk=olga.pk).first()
    assert made is None or not (made.is_superuser or made.is_staff)
    assert not SocialAccount.objects.filter(user=olga).exists()


def test_a_person_connects_it_once_and_logs_in_with_it(provider: Provider, lee: Any) -> None:
    client = Client()
    client.post("/accounts/login/", {"username": "lee", "password": PASSWORD})
    assert "Our Institute" in client.get("/accounts/3rdparty/").content.decode()
    come_in(client, provider, process="connect")
    assert SocialAccount.objects.get().user == lee
    fresh = Client()
    assert come_in(fresh, provider)["Location"] == "/"
    assert person_in(fresh) == "lee"
    # Such a log-in is as fresh as one by password.
    assert fresh.get("/admin/pipelines/run/add/").status_code == 403
    assert fresh.post("/people/", {"act": "x"}).status_code == 400


def test_a_second_factor_is_asked_behind_it(provider: Provider, lee: Any) -> None:
    from tests.access.test_second_factor import code_of, enrol

    client = Client()
    client.post("/accounts/login/", {"username": "lee", "password": PASSWORD})
    secret = enrol(client)
    come_in(client, provider, process="connect")
    fresh = Client()
    answer = come_in(fresh, provider)
    assert answer["Location"] == "/accounts/2fa/authenticate/"
    assert person_in(fresh) == ""
    fresh.post("/accounts/2fa/authenticate/", {"code": code_of(secret, steps=1)})
    assert person_in(fresh) == "lee"


@pytest.mark.parametrize("fault", ["state", "code", "audience", "issuer", "expired", "disabled"])
def test_what_is_not_right_opens_nothing(
    provider: Provider, settings: Any, lee: Any, fault: str
) -> None:
    settings.TIEBREAK_OIDC_ROLE = "annotator"
    SocialAccount.objects.create(user=lee, provider="sso", uid="4711")
    client = Client(raise_request_exception=False)
    start = client.post(START)
    brought = provider.authorize(start["Location"])
    if fault == "state":
        brought["state"] = "guessed"
    elif fault == "code":
        brought["code"] = "guessed"
    elif fault == "audience":
        provider.audience = "another site"
    elif fault == "issuer":
        provider.claims["iss"] = "http://elsewhere.example"
    elif fault == "expired":
        provider.claims["exp"] = time.time() - 3600
    else:
        User.objects.filter(pk=lee.pk).update(is_active=False)
    answer = client.get(BACK, brought)
    assert answer.status_code < 500
    assert person_in(client) == ""


def test_with_the_right_answer_the_same_opens(provider: Provider, lee: Any) -> None:
    SocialAccount.objects.create(user=lee, provider="sso", uid="4711")
    client = Client()
    come_in(client, provider)
    assert person_in(client) == "lee"


def test_the_policy_lets_the_form_lead_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from config.settings import _origins

    assert _origins("https://id.example/realms/x/.well-known/openid-configuration") == [
        "https://id.example"
    ]
    assert _origins("") == []
