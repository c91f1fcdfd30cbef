"""Many accounts at once, links to set passwords, deactivation: who may, and what follows."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from annotation.accounts import people
from annotation.accounts.bulk_accounts import make_accounts
from annotation.errors import ImportRefused, NotAllowed
from annotation.models import Slot, SlotState

NEW = "a quiet instrument"


@pytest.fixture
def roles(lee: Any) -> None:
    """The groups are there."""


def test_a_table_makes_annotators_with_links_and_no_password(
    make_campaign: Any, roles: None
) -> None:
    one, two = make_campaign(name="one"), make_campaign(name="two")
    links = make_accounts(
        "username,email,name,campaign\n"
        f"dora,dora@example.org,Dora D.,two\nemil,,,{one.pk}\nfred,,,",
        one,
    )
    assert [link.user.username for link in links] == ["dora", "emil", "fred"]
    dora = User.objects.get(username="dora")
    assert (dora.email, dora.first_name) == ("dora@example.org", "Dora D.")
    assert not dora.has_usable_password()
    assert [group.name for group in dora.groups.all()] == ["annotator"]
    assert list(two.members.all()) == [dora]
    assert {user.username for user in one.members.all()} == {"emil", "fred"}
    assert len({link.path for link in links}) == 3


def test_the_link_sets_the_password_once(roles: None) -> None:
    (link,) = make_accounts("username\ndora")
    browser = Client()
    form = browser.get(link.path)["Location"]
    answer = browser.post(form, {"new_password1": NEW, "new_password2": NEW})
    assert answer.status_code == 302
    assert User.objects.get(username="dora").check_password(NEW)
    again = Client().get(link.path)
    assert "does not hold any more" in again.content.decode()


def test_a_wrong_row_refuses_the_table_and_names_every_fault(alice: Any) -> None:
    table = (
        "username,email,campaign\n"
        "dora,dora@example.org,\n"
        "a b,,\n"
        "Alice,,\n"
        "emil,nowhere,\n"
        "DORA,,\n"
        "fred,,no such campaign\n"
    )
    before = User.objects.count()
    with pytest.raises(ImportRefused) as refused:
        make_accounts(table)
    assert [each["line"] for each in refused.value.details["faults"]] == [3, 4, 5, 6, 7]
    assert User.objects.count() == before


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "lacks the column username"),
        ("username\n", "no row"),
        ("username,password\ndora,x", "Unknown column 'password'"),
        ("username,username\na,b", "twice"),
        ("username,email\ndora", "as many cells"),
        ("username,email\ndora,,x", "as many cells"),
        ('username\n"dora', "not CSV"),
        ("username\ndo\0ra", "NUL"),
    ],
)
@pytest.mark.django_db
def test_what_is_no_table_is_refused_in_a_sentence(table: str, said: str) -> None:
    with pytest.raises(ImportRefused, match=said):
        make_accounts(table)


def test_a_byte_order_mark_is_no_letter(roles: None) -> None:
    assert make_accounts("\N{ZERO WIDTH NO-BREAK SPACE}username\ndora")[0].user.username == "dora"


@pytest.mark.parametrize("whose", ["mia", "olga", "lee"])
def test_a_lead_makes_no_link_to_an_account_that_can_do_more(
    whose: str, request: pytest.FixtureRequest, lee: Any
) -> None:
    with pytest.raises(NotAllowed):
        people.password_link(lee, request.getfixturevalue(whose).pk)


def test_an_annotator_who_became_staff_is_out_of_the_lead_s_hands(lee: Any, alice: Any) -> None:
    assert people.password_link(lee, alice.pk).user == alice
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    with pytest.raises(NotAllowed):
        people.password_link(lee, alice.pk)


def test_an_operator_makes_a_link_for_anybody_else(olga: Any, mia: Any) -> None:
    assert people.password_link(olga, mia.pk).user == mia
    with pytest.raises(NotAllowed):
        people.password_link(olga, olga.pk)


def test_an_annotator_manages_nobody(alice: Any, bob: Any) -> None:
    with pytest.raises(NotAllowed):
        people.deactivate(alice, bob.pk)


def test_deactivation_ends_the_session_and_gives_the_pairs_back(
    lee: Any, alice: Any, make_campaign: Any, annotator: Any
) -> None:
    campaign = make_campaign(3)
    browser = annotator(alice)
    browser.next(campaign)
    browser.next(campaign, prefetch=True)
    held = Slot.objects.filter(holder=alice, state=SlotState.LEASED)
    assert held.count() == 2
    people.deactivate(lee, alice.pk)
    assert held.count() == 0
    assert browser.get("/api/campaigns").status_code == 401
    people.activate(lee, alice.pk)
    assert User.objects.get(pk=alice.pk).is_active


def test_the_operator_has_the_link_in_the_admin(olga: Any, alice: Any, client: Client) -> None:
    client.force_login(olga)
    chosen = {"action": "make_password_links", "_selected_action": [alice.pk]}
    page = client.post("/admin/auth/user/", chosen, follow=True).content.decode()
    assert "/accounts/reset/" in page
    assert Group.objects.filter(name="annotator").exists()
