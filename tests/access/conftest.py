"""The site with two campaigns, and everybody who could knock: people of each kind, tokens."""

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.core.cache import caches
from django.test import Client

from tests.annotation.conftest import bare_campaign
from tools.access_matrix import PAGE

PEOPLE = ("anonymous", "nobody", "member", "stranger", "lead", "engineer", "operator")
_ROW = re.compile(r"^\| `(?P<name>[^`]+)` \| `(?P<path>[^`]+)` \|(?P<cells>.*)\|$", re.MULTILINE)
_HOLE = re.compile(r"\^?\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>")
# What stands in addresses beside the campaign. Rows that are not there: what counts is who gets
# as far as being told so.
_NOWHERE = "00000000-0000-4000-8000-000000000000"
_VALUES = {
    "video_id": _NOWHERE, "image_id": _NOWHERE, "vote_id": _NOWHERE, "token": _NOWHERE,
    "upload_id": _NOWHERE,
    "uidb64": "MQ", "language": "en", "digest": "0123456789abcdef", "provider_id": "sso",
    "panel": "progress", "page": "agreement", "act": "cancel", "name": "progress",
}  # fmt: skip
# Doors that read what is sent before they ask whose it is: it must be readable.
_BALLOT = {
    "lease": _NOWHERE, "left_video": _NOWHERE, "right_video": _NOWHERE,
    "judgements": {"VQ": {"label": "left"}}, "timing": {"active_ms": 1},
}  # fmt: skip
_BODIES: dict[str, dict[str, Any]] = {
    "annotation:api-next": {"tab": _NOWHERE},
    "annotation:api-votes": _BALLOT,
    "annotation:api-vote": _BALLOT,
    "annotation:api-flag-question": {"kind": "broken", "side": "left", "note": ""},
}
_HEADERS = {
    "annotation:api-votes": {"Idempotency-Key": _NOWHERE},
    "annotation:api-vote": {"If-Match": "1"},
}


@dataclass(frozen=True)
class Row:
    """One line of docs/access.md."""

    name: str
    path: str
    reads: frozenset[str]
    acts: frozenset[str]
    token_reads: str
    token_acts: str
    fresh: frozenset[str]

    @property
    def is_rest(self) -> bool:
        return self.path.startswith("/api/") and self.name not in {"api-docs"}

    @property
    def of_campaign(self) -> bool:
        return "campaign_id" in self.path

    def url(self, campaign: int) -> str:
        def fill(hole: re.Match[str]) -> str:
            named = hole[1] or hole[2]
            return str(campaign) if named == "campaign_id" else str(_VALUES.get(named, 987654))

        query = f"?campaign={campaign}" if self.name == "annotation:api-my-votes" else ""
        return _HOLE.sub(fill, self.path) + query

    def who(self, *, acts: bool) -> frozenset[str]:
        return self.acts if acts else self.reads


def rows_of(text: str) -> list[Row]:
    found = []
    for match in _ROW.finditer(text):
        cells = [each.strip() for each in match["cells"].split("|")]
        reads, acts, token_reads, token_acts, fresh = cells
        scopes = (token_reads.strip("`–"), token_acts.strip("`–"))
        path = match["path"].replace("&#124;", "|")
        row = Row(match["name"], path, _words(reads), _words(acts), *scopes, _words(fresh))
        found.append(row)
    return found


def _words(cell: str) -> frozenset[str]:
    return frozenset(each.strip() for each in cell.split(",") if each.strip() != "–")


ROWS = rows_of(PAGE.read_text(encoding="utf-8"))


@dataclass
class World:
    own: int
    other: int
    clients: dict[str, Client]
    people: dict[str, Any]

    def ask(self, who: str, row: Row, *, acts: bool, campaign: int = 0) -> Any:
        return knock(self.clients[who], row, campaign or self.own, acts=acts)


def knock(client: Client, row: Row, campaign: int, *, acts: bool, **headers: str) -> Any:
    """One request whose writes are taken back."""
    url, headers = row.url(campaign), {**_HEADERS.get(row.name, {}), **headers}
    from django.db import transaction

    cookies = client.cookies.copy()
    with transaction.atomic():
        if not acts:
            answer = client.get(url, headers=headers)
        elif row.is_rest:
            answer = _acting(client, url, headers, _BODIES.get(row.name, {}))
        else:
            answer = client.post(url, headers=headers)
        if answer.streaming:
            b"".join(answer.streaming_content)  # to its end, which closes it
        transaction.set_rollback(True)
    client.cookies = cookies  # also a log-out is taken back
    return answer


def _acting(client: Client, url: str, headers: dict[str, str], body: dict[str, Any]) -> Any:
    """By the first method that the door knows."""
    for method in ("post", "put", "patch", "delete"):
        answer = getattr(client, method)(
            url, data=json.dumps(body), content_type="application/json", headers=headers
        )
        if answer.status_code != 405:
            return answer
    raise AssertionError(f"{url} has a policy for acts and knows no method for one")


@pytest.fixture(autouse=True, scope="session")
def _pages_of_the_admin() -> None:
    """They come with the addresses, at the first request."""
    admin.autodiscover()


@pytest.fixture(autouse=True)
def no_codes_of_other_tests() -> None:
    """Used codes are remembered by account, and accounts have the same numbers in each test."""
    caches["default"].clear()


@pytest.fixture
def world(db: None, settings: Any, alice: Any, bob: Any, charlie: Any, lee: Any) -> World:
    from django.contrib.auth.models import Group, User

    settings.TIEBREAK_TOKEN_RATE = settings.TIEBREAK_STRANGER_RATE = "100000/min"
    settings.TIEBREAK_COSTLY_RATE = "100000/min"
    mia = User.objects.create_user("mia", is_staff=True)
    mia.groups.set(Group.objects.filter(name="ml_engineer"))
    olga = User.objects.create_user("olga", is_staff=True, is_superuser=True)
    own, other = bare_campaign(1, name="own"), bare_campaign(1, name="other")
    for campaign, member in ((own, alice), (other, bob)):
        type(campaign).objects.filter(pk=campaign.pk).update(open_to_all=False)
        campaign.members.add(member)
    people = {
        "nobody": charlie, "member": alice, "stranger": bob, "lead": lee, "engineer": mia,
        "operator": olga,
    }  # fmt: skip
    clients = {"anonymous": Client(raise_request_exception=False)}
    for name, person in people.items():
        clients[name] = Client(raise_request_exception=False)
        clients[name].force_login(person)
    return World(own.pk, other.pk, clients, people)


ROLES = {
    "anonymous": {"anyone"},
    "nobody": {"anyone", "people"},
    "member": {"anyone", "people", "annotator"},
    "stranger": {"anyone", "people", "annotator"},
    "lead": {"anyone", "people", "lead", "staff"},
    "engineer": {"anyone", "people", "ml_engineer", "staff"},
    "operator": {"anyone", "people", "lead", "ml_engineer", "staff", "operator"},
}


def is_refused(answer: Any) -> bool:
    """Turned away at the door: no log-in, no right, or a log-in that is not fresh."""
    if answer.status_code in {401, 403}:
        return True
    if answer.status_code != 302:
        return False
    return answer["Location"].startswith(("/accounts/login/", "/accounts/confirm/"))
