"""Sessions come with their person in one statement, and end as Django's own do."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation.models import Session


@pytest.fixture
def logged_in(alice) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def status(client: Client) -> int:
    return client.get("/api/campaigns").status_code


def test_the_row_names_the_person(logged_in, alice):
    assert Session.objects.get().person == alice
    with CaptureQueriesContext(connection) as asked:
        assert status(logged_in) == 200
    assert "annotation_session" in asked.captured_queries[0]["sql"]
    about_people = [each for each in asked.captured_queries if 'FROM "auth_user"' in each["sql"]]
    assert about_people == []


def test_a_log_out_ends_the_session_for_whoever_kept_the_cookie(logged_in):
    thief = Client()
    thief.cookies = logged_in.cookies.copy()
    assert status(thief) == 200
    logged_in.post("/accounts/logout/")
    assert status(thief) == 401
    assert not Session.objects.filter(person__isnull=False).exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda user: user.set_password("another long password"),
        lambda user: setattr(user, "is_active", False),
    ],
)
def test_a_new_password_or_a_blocked_account_ends_it_at_once(logged_in, alice, change):
    change(alice)
    alice.save()
    assert status(logged_in) == 401


def test_a_lost_role_is_lost_at_the_next_request(logged_in, alice, make_campaign):
    campaign = make_campaign(1)
    path, body = f"/api/campaigns/{campaign.pk}/next", {"tab": "0" * 32}
    assert logged_in.post(path, body, content_type="application/json").status_code == 200
    alice.groups.remove(Group.objects.get(name="annotator"))
    assert logged_in.post(path, body, content_type="application/json").status_code == 404


def test_an_expired_session_is_none(logged_in):
    Session.objects.update(expire_date=timezone.now())
    assert status(logged_in) == 401
    call_command("clearsessions")
    assert not Session.objects.exists()


def test_a_session_of_a_deleted_person_is_gone(logged_in, alice):
    User.objects.filter(pk=alice.pk).delete()
    assert not Session.objects.exists()
    assert status(logged_in) == 401


def test_a_row_whose_person_and_content_disagree_is_not_trusted(logged_in, bob):
    """The content is signed; the column is not, so it only saves a question."""
    Session.objects.update(person=bob)
    answer = logged_in.get("/api/campaigns")
    assert answer.status_code == 200
    assert answer.wsgi_request.user.username == "alice"


def test_logging_in_as_another_mixes_nothing(logged_in, bob):
    logged_in.force_login(bob)
    assert logged_in.get("/api/campaigns").wsgi_request.user == bob
    assert [row.person for row in Session.objects.all()] == [bob]
