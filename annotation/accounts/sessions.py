"""Sessions in the database, read together with the person in one statement.

A session ends some time after its log-in, and earlier when it is not used: staff after 12 hours and
2 hours, others after 30 days and 7 days. Its row holds the nearer of the two; it moves on now and
then while the person works. Disabling an account deletes its sessions.

Each vote is two requests, and Django asks for the session and then for the user in each. Nothing is
kept between requests: who is logged out, blocked or has a new password is so at the next one.
"""

import time
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, cast

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends import db
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject

from annotation.models import Session
from annotation.permissions import is_staff_person
from annotation.statements import Columns, prepared, read

_SESSION: Final = Columns(Session, "s")
_PERSON: Final = Columns(User, "u")


@cache
def _session_sql() -> str:
    return f"""
SELECT {_SESSION.sql}, {_PERSON.sql}
FROM {Session._meta.db_table} s LEFT JOIN {User._meta.db_table} u ON u.id = s.person_id
WHERE s.session_key = %s AND s.expire_date > %s"""


_BEGAN: Final = "session_began"
_STAFF: Final = "session_of_staff"
_SEEN: Final = "session_seen"
_STEPS: Final = 12  # an idle session ends up to a twelfth of its time early: so few writes


class SessionStore(db.SessionStore):
    """Django's own, but its row names the person, who is read with it."""

    person: User | None = None

    def get_expiry_age(self, **_more: Any) -> int:
        """What is left: until it was idle for too long, or its log-in is too long ago."""
        began = self.get(_BEGAN)
        if not isinstance(began, int):
            return int(settings.SESSION_COOKIE_AGE)
        whole, idle = _limits(staff=bool(self.get(_STAFF)))
        return max(0, min(idle, began + whole - int(time.time())))

    def get_expiry_date(self, **_more: Any) -> datetime:
        return timezone.now() + timedelta(seconds=self.get_expiry_age())

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        row = cast(Session, super().create_model_instance(data))
        row.person_id = data.get(auth.SESSION_KEY)
        return row

    def _get_session_from_db(self) -> Session | None:
        now = prepared(Session, "expire_date", timezone.now())
        rows = read(_session_sql(), self.session_key, now)
        if not rows:
            self._session_key = None
            return None
        has_person = rows[0][len(_SESSION)] is not None
        self.person = _PERSON.read(rows[0], len(_SESSION)) if has_person else None
        return _SESSION.read(rows[0], 0)


def _limits(*, staff: bool) -> tuple[int, int]:
    """Seconds from the log-in, and without a request."""
    return settings.TIEBREAK_STAFF_SESSION if staff else settings.TIEBREAK_SESSION


def begin(
    sender: Any,  # noqa: ARG001  the signature is that of the signal
    request: HttpRequest | None,
    user: User,
    **_kwargs: Any,
) -> None:
    """At log-in: the time of the session runs from now."""
    if request is None or not hasattr(request, "session"):
        return
    now = int(time.time())
    request.session.update({_BEGAN: now, _SEEN: now, _STAFF: is_staff_person(user)})


def end_all(user: User) -> None:
    """Nobody goes on under this account without a new log-in."""
    Session.objects.filter(person=user).delete()


def end_where_disabled(
    sender: Any,  # noqa: ARG001  the signature is that of the signal
    instance: User,
    **_kwargs: Any,
) -> None:
    """Also where an operator unticks an account in the admin."""
    if not instance.is_active:
        end_all(instance)


def _go_on(session: Any, person: User) -> None:
    """Moves the end of a used session; who has become staff meanwhile gets their limits at once."""
    now, seen = int(time.time()), session.get(_SEEN)
    staff = bool(session.get(_STAFF)) or person.is_staff or person.is_superuser
    if _BEGAN not in session:  # from before sessions had an end
        session.update({_BEGAN: now, _SEEN: now, _STAFF: is_staff_person(person)})
    elif staff and not session.get(_STAFF):
        session.update({_SEEN: now, _STAFF: True})
    elif not isinstance(seen, int) or now - seen > _limits(staff=staff)[1] // _STEPS:
        session.update({_SEEN: now, _STAFF: is_staff_person(person)})


class PersonMiddleware(AuthenticationMiddleware):
    """Django's own, but it does not ask again for a person whom the session has brought."""

    def process_response(self, request: Any, response: Any) -> Any:
        person = getattr(request, "_cached_user", None)
        if isinstance(person, User) and request.session.get(auth.SESSION_KEY) == str(person.pk):
            _go_on(request.session, person)
        return response

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        request.user = cast(User, SimpleLazyObject(lambda: _user_of(request)))


def _user_of(request: Any) -> User | AnonymousUser:
    if not hasattr(request, "_cached_user"):
        request._cached_user = _brought_by(request.session) or auth.get_user(request)
    user: User | AnonymousUser = request._cached_user
    return user


def _brought_by(session: Any) -> User | None:
    """The session's person, if all holds that Django asks of one; None leaves it to Django."""
    said = session.get(auth.SESSION_KEY)  # reads the session
    person: User | None = getattr(session, "person", None)
    if person is None or said != str(person.pk) or not person.is_active:
        return None
    known_backend = session.get(auth.BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    sealed = session.get(auth.HASH_SESSION_KEY, "")
    # Changes with the password, so a new password ends all sessions.
    holds = constant_time_compare(sealed, person.get_session_auth_hash())
    return person if known_backend and holds else None
