"""Deny by default: everybody knocks at every address (RELIABILITY S2, 3c).

What is expected stands in docs/access.md, one reviewed row per address; what happens is asked from
the site through HTTP, with the checks of the doors behind the policies.
"""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path

from annotation.access import policies
from annotation.access.scopes import SCOPES
from tests.access.conftest import PEOPLE, ROLES, ROWS, Row, World, is_refused, knock
from tests.promises import counts
from tools.access_matrix import addresses, rows

# Doors that ask for the role and the campaign in one statement, and hide both in one 404.
HIDES = {404, 410}
# Where a link or a form decides, whoever brings it.
ASKED_BY_LINK = {"annotation:clip", "annotation:poster", "annotation:reference-image"}
# They answer with a log-in page, or refuse an empty password.
FEW = ("anonymous", "member", "lead", "engineer")
EVERY = [*SCOPES, "campaign"]
ENTRANCES = {
    "logout", "account_logout", "confirm", "account_reauthenticate", "mfa_authenticate",
    "socialaccount_signup", "socialaccount_login_error",
}  # fmt: skip


def sides(row: Row) -> list[bool]:
    return [acts for acts in (False, True) if row.who(acts=acts)]


def costs_much(row: Row, who: str) -> bool:
    """The schema is written anew for each who asks: twice is enough, once for the refusal."""
    return row.name == "schema" and who not in {"anonymous", "member", "vote", "campaign"}


def expected_refusal(row: Row, who: str, *, acts: bool) -> bool:
    return not (row.who(acts=acts) & ROLES[who])


@pytest.mark.promise("S2")
def test_every_address_has_a_policy_and_a_row_in_the_docs() -> None:
    names = {name for name, _ in addresses() if not name.startswith("admin:")}
    assert {name for name, _ in addresses() if policies.policy_of(name) is None} == set()
    assert names == {row.name for row in ROWS}, "run `python -m tools.access_matrix`, then review"
    from tools.access_matrix import PAGE

    missing = [row for row in rows() if row not in PAGE.read_text(encoding="utf-8")]
    assert missing == [], "docs/access.md is older than the policies: python -m tools.access_matrix"


@pytest.mark.promise("S2")
@pytest.mark.one_engine
@pytest.mark.parametrize("who", counts(FEW, PEOPLE, PEOPLE))
def test_everybody_gets_in_where_the_matrix_says_and_nowhere_else(
    world: World, who: str, figures: Any
) -> None:
    wrong, checks = [], 0
    for row in ROWS:
        for acts in [] if costs_much(row, who) else sides(row):
            answer = world.ask(who, row, acts=acts)
            checks += 1
            if not as_expected(row, who, answer, acts=acts):
                wrong.append((row.name, "acts" if acts else "reads", answer.status_code))
    assert wrong == [], "\n" + "\n".join(map(str, wrong))
    figures("S2", **{f"checks_as_{who}": checks})


def as_expected(row: Row, who: str, answer: Any, *, acts: bool) -> bool:
    if answer.status_code >= 500:
        return row.name == "pipelines:ready"  # 503: no worker here
    if expected_refusal(row, who, acts=acts):
        return is_refused(answer) or (row.is_rest and answer.status_code in HIDES)
    if row.name in ASKED_BY_LINK or foreign(row, who):
        return answer.status_code in {403, 404}
    return row.name in ENTRANCES or not is_refused(answer)


def foreign(row: Row, who: str) -> bool:
    """Whether the campaign of the row is not there for this annotator."""
    return row.of_campaign and who in {"nobody", "stranger"}


@pytest.mark.promise("S2", "S7")
@pytest.mark.one_engine
def test_the_campaign_of_others_is_not_there(world: World) -> None:
    """404 as for one that does not exist: nobody learns that it is there."""
    told = []
    for row in ROWS:
        for acts in sides(row):
            if not row.of_campaign or not row.who(acts=acts) & {"people", "annotator"}:
                continue
            answer = world.ask("member", row, acts=acts, campaign=world.other)
            nowhere = world.ask("member", row, acts=acts, campaign=98765)
            if {answer.status_code, nowhere.status_code} != {404}:
                told.append((row.name, acts, answer.status_code, nowhere.status_code))
    assert told == [], told


@pytest.mark.promise("S2")
@pytest.mark.one_engine
@pytest.mark.parametrize("scope", counts(["vote", "runs", "campaign"], EVERY, EVERY))
def test_a_token_opens_what_its_scope_says_and_nothing_else(world: World, scope: str) -> None:
    """Its owner may do everything; `campaign` is a token of all scopes for another campaign."""
    from django.contrib.auth.models import Group

    from annotation.accounts.tokens import make_token
    from annotation.models import Campaign

    olga = world.people["operator"]
    olga.groups.set(Group.objects.all())
    Campaign.objects.get(pk=world.own).members.add(olga)
    other = Campaign.objects.get(pk=world.other)
    bound = scope == "campaign"
    _, secret = make_token(
        olga, scope, scopes=SCOPES if bound else [scope], campaign=other if bound else None
    )
    client = Client(raise_request_exception=False)
    wrong = []
    for row in ROWS:
        for acts in [] if costs_much(row, scope) else sides(row):
            bearer = {"Authorization": f"Bearer {secret}"}
            answer = knock(client, row, world.own, acts=acts, **bearer)
            needs = row.token_acts if acts else row.token_reads
            opens = not bound and needs in {scope, "any"}
            if not token_as_expected(row, answer, opens=opens, acts=acts):
                wrong.append((row.name, acts, answer.status_code))
    assert wrong == [], "\n" + "\n".join(map(str, wrong))


def token_as_expected(row: Row, answer: Any, *, opens: bool, acts: bool) -> bool:
    if "anyone" in row.who(acts=acts):
        return True
    if opens:
        return row.name in ASKED_BY_LINK or not is_refused(answer)
    return is_refused(answer) or answer.status_code == 404


# Mutants.


def open_house(_request: Any) -> HttpResponse:
    return HttpResponse("come in")


forgotten = open_house
urlpatterns = [
    path("forgotten/", forgotten, name="forgotten"),
    path("", include("config.urls")),
]


@pytest.mark.mutant("S2")
def test_a_view_that_nobody_declared_opens_to_nobody(world: World, settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    assert [world.clients[who].get("/forgotten/").status_code for who in PEOPLE] == [403] * 7
    found = {name for name, _ in addresses() if policies.policy_of(name) is None}
    assert found == {"forgotten"}


@pytest.mark.mutant("S2")
@pytest.mark.parametrize(
    ("name", "spoiled"),
    [
        ("pipelines:base-model-decide", policies.button(policies.PEOPLE)),
        ("annotation:api-next", policies.door(act=policies.Rule(policies.ANYONE))),
        ("annotation:tokens", policies.page(policies.ANYONE)),
    ],
)
def test_a_policy_that_is_too_wide_is_found_by_the_walk(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, spoiled: policies.Policy
) -> None:
    """The row in the docs still says who may; the site lets others in."""
    monkeypatch.setitem(policies._declared, name, spoiled)
    row = next(row for row in ROWS if row.name == name)
    assert any(line not in _page() for line in rows())
    if name == "pipelines:base-model-decide":
        answer = world.ask("member", row, acts=True)
        assert not as_expected(row, "member", answer, acts=True)


def _page() -> str:
    from tools.access_matrix import PAGE

    return PAGE.read_text(encoding="utf-8")
