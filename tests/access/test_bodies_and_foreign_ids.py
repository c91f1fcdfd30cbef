"""Mass assignment changes nothing, and ids of others lead to 404 (RELIABILITY S7)."""

import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from annotation.models import ApiToken, Campaign, Flag
from tests.access.conftest import ROWS, Row, World
from tests.annotation.conftest import Annotator

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
# What nobody may set by adding it to a body.
FORBIDDEN: dict[str, Any] = {
    "is_superuser": True, "is_staff": True, "is_active": False, "user": 1, "user_id": 1,
    "created_by": 1, "annotator": 1, "password": "x", "groups": ["lead"], "id": 98765, "pk": 98765,
    "state": "closed", "sha256": "0" * 64, "counted": True, "fence": 9,
}  # fmt: skip
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def bodies(world: World) -> dict[str, dict[str, Any]]:
    """A good body for each door that writes; the others take one entry at most, or none."""
    return {
        "annotation:api-next": {"tab": str(uuid.uuid4())},
        "annotation:api-profile": {"language": "ja"},
        "annotation:api-tokens": {"name": "x", "scopes": ["vote"]},
        "annotation:api-campaigns": {"name": "new", "dimension_set": "anime"},
        "annotation:api-campaign": {"consent": "yes"},
        "annotation:api-clone": {"name": "copy"},
        "annotation:api-extend": {"votes_wanted": 5},
        "annotation:api-plan": {"strategy": "all"},
        "annotation:api-priorities": {"first": "active"},
        "annotation:api-invitations": {"campaign": world.own, "role": "annotator"},
        "annotation:api-people": {"csv": "username\\nzoe\\n".replace("\\n", "\n")},
        "annotation:api-members": {"usernames": ["bob"]},
        "annotation:api-dimension-sets": {
            "name": "own-set", "title": "t", "dimensions": [{"key": "a", "title": "A"}],
        },
        "annotation:api-guideline-draft": {"body": {}, "revision": 0},
        "annotation:api-promotable": {"triplets": []},
        "pipelines:api-runs": {"kind": "snapshot", "config": {"campaign": world.own}},
        "pipelines:api-base-models": {
            "name": "n", "role": "vlm", "source": "a/b", "revision": COMMIT, "why": "w",
        },
    }  # fmt: skip


def row_of(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


def rights() -> list[Any]:
    """All that a body must not move, whatever door it goes through."""
    people = User.objects.order_by("pk").values_list(
        "pk", "username", "password", "is_superuser", "is_staff", "is_active"
    )
    groups = User.groups.through.objects.order_by("pk").values_list("user_id", "group__name")
    campaigns = Campaign.objects.order_by("pk").values_list("pk", "state", "name")
    return [list(people), list(groups), list(campaigns)]


def send(world: World, row: Row, who: str, body: dict[str, Any]) -> Any:
    for method in ("post", "put", "patch"):
        answer = getattr(world.clients[who], method)(
            row.url(world.own), json.dumps(body), content_type="application/json"
        )
        if answer.status_code != 405:
            return answer
    raise AssertionError(f"{row.name} takes no body")


@pytest.mark.promise("S7")
def test_no_body_sets_what_it_may_not(world: World, figures: Any) -> None:
    from django.db import transaction

    wrong, checks = [], 0
    for name, body in bodies(world).items():
        row = row_of(name)
        who = "member" if row.acts & {"annotator", "people"} else "operator"
        for entry, value in FORBIDDEN.items():
            with transaction.atomic():
                before = rights()
                answer = send(world, row, who, {**body, entry: value})
                checks += 1
                if not harmless(name, answer, before, rights()):
                    wrong.append((name, entry, answer.status_code))
                transaction.set_rollback(True)
    assert wrong == [], wrong
    figures("S7", bodies_with_a_forbidden_entry=checks)


def harmless(name: str, answer: Any, before: list[Any], after: list[Any]) -> bool:
    """Refused; or done, and what it should not touch is as it was."""
    if answer.status_code in {400, 404, 409, 422}:
        return before == after
    if answer.status_code >= 500 or answer.status_code not in {200, 201}:
        return False
    return all(_kept(old, new) for old, new in zip(before, after, strict=True)) and owns(answer)


def _kept(old: list[Any], new: list[Any]) -> bool:
    """Rows may come; none changes."""
    return set(old) <= set(new)


def owns(answer: Any) -> bool:
    """What was made is not what the body claimed: no chosen id, no state, no other owner."""
    made = answer.json()
    return made.get("id") != 98765 and made.get("state") != "closed" and made.get("user") != 1


@pytest.mark.mutant("S7")
def test_a_door_that_assigned_what_it_gets_would_be_found(world: World) -> None:
    before = rights()
    User.objects.filter(username="alice").update(is_staff=True)

    class Done:
        status_code = 200

        def json(self) -> dict[str, Any]:
            return {}

    assert not harmless("x", Done(), before, rights())


@pytest.mark.promise("S7")
def test_votes_and_their_copies_of_others_are_not_there(world: World) -> None:
    """404, as for ids that there are not: nobody learns that they exist."""
    alice, bob = world.people["member"], world.people["stranger"]
    hers = Annotator(alice)
    campaign = Campaign.objects.get(pk=world.own)
    given = hers.next(campaign)
    his = Annotator(bob)
    ballot = {**hers.ballot(given)}
    assert his.send(ballot).status_code in {403, 404}
    for act in ("renew", "release", "skip", "flag"):
        answer = his.post(f"/api/leases/{given['lease']}/{act}", {"kind": "broken"})
        assert answer.status_code in {403, 404, 410}, act
    vote = hers.send(ballot).json()["vote"]
    assert his.revise(vote, 1, ballot).status_code == 404
    assert his.get(f"/api/votes/mine?campaign={world.own}").status_code == 404


@pytest.mark.promise("S7")
def test_ids_of_another_campaign_are_not_there(world: World, figures: Any) -> None:
    """A lead who mixes the campaign of one address with the rows of another gets 404."""
    own, other = (Campaign.objects.get(pk=pk) for pk in (world.own, world.other))
    alice = world.people["member"]
    triplet = other.triplets.get()
    flag = Flag.objects.create(campaign=other, triplet=triplet, kind="broken", annotator=alice)
    client = world.clients["lead"]
    here = f"/api/campaigns/{own.pk}"
    calls = [
        ("get", f"{here}/adjudication/{triplet.pk}"),
        ("get", f"{here}/adjudication/{triplet.pk}/rulings"),
        ("post", f"{here}/adjudication/{triplet.pk}"),
        ("get", f"{here}/gold/{triplet.pk}"),
        ("patch", f"{here}/gold/{triplet.pk}"),
        ("delete", f"{here}/gold/{triplet.pk}"),
        ("post", f"{here}/standings/{alice.pk}/resume"),
        ("get", f"{here}/standings/{alice.pk}/recollection"),
        ("delete", f"{here}/members/{world.people['stranger'].pk}"),
    ]
    codes = {}
    for method, path in calls:
        sent = {} if method == "get" else {"data": "{}", "content_type": "application/json"}
        answer = getattr(client, method)(path, **sent)
        codes[method, path] = answer.status_code
    assert {call: code for call, code in codes.items() if code not in {400, 404}} == {}
    assert [code for (method, _), code in codes.items() if method == "get"] == [404] * 4
    page = client.post(f"/campaigns/{own.pk}/quality/flags/", {"act": "uphold", "flag": flag.pk})
    assert page.status_code == 302
    flag.refresh_from_db()
    assert flag.state == "open"
    figures("S7", foreign_ids=len(calls) + 1)


@pytest.mark.promise("S7")
def test_tokens_notices_and_erasures_of_others_are_not_there(world: World) -> None:
    from annotation.accounts.tokens import make_token

    token, _ = make_token(world.people["member"], "hers")
    stranger = world.clients["stranger"]
    assert stranger.delete(f"/api/tokens/{token.pk}").status_code == 404
    assert stranger.post(f"/tokens/{token.pk}/revoke/").status_code == 404
    assert ApiToken.objects.live().filter(pk=token.pk).exists()


@pytest.mark.promise("S7")
def test_a_lead_is_not_led_to_the_accounts_of_operators(world: World) -> None:
    """Password links and switches of accounts that can do more belong to operators."""
    client, olga = world.clients["lead"], world.people["operator"]
    for path in (f"/api/people/{olga.pk}/password-link", f"/api/people/{olga.pk}/active"):
        method = client.put if path.endswith("active") else client.post
        answer = method(path, json.dumps({"active": False}), content_type="application/json")
        assert answer.status_code == 403
    olga.refresh_from_db()
    assert olga.is_active


@pytest.mark.promise("S7")
def test_every_address_with_an_id_says_404_for_one_that_is_not_there(world: World) -> None:
    """Of all that the operator may open: 404 and never 500, or 400 for what was not sent."""
    from tests.access.conftest import knock

    olga = world.people["operator"]
    olga.groups.set(Group.objects.all())
    wrong = []
    for row in ROWS:
        named = {"run_id", "artifact_id", "group_id", "proposal_id", "flag_id", "guideline_id"}
        if not any(f":{each}>" in row.path for each in named):
            continue
        for acts in (False, True):
            if row.who(acts=acts):
                code = knock(world.clients["operator"], row, world.own, acts=acts).status_code
                if code not in {400, 404, 422}:
                    wrong.append((row.name, acts, code))
    assert wrong == [], wrong
