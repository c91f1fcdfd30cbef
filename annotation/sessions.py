"""Sessions in the database, read together with the person in one statement.

Each vote is two requests, and Django asks for the session and then for the user in each. Nothing is
kept between requests: who is logged out, blocked or has a new password is so at the next one.
"""

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
from annotation.statements import Columns, prepared, read

_SESSION: Final = Columns(Session, "s")
_PERSON: Final = Columns(User, "u")


@cache
def _session_sql() -> str:
    return f"""
SELECT {_SESSION.sql}, {_PERSON.sql}
FROM {Session._meta.db_table} s LEFT JOIN {User._meta.db_table} u ON u.id = s.person_id
WHERE s.session_key = %s AND s.expire_date > %s"""


class SessionStore(db.SessionStore):
    """Django's own, but its row names the person, who is read with it."""

    person: User | None = None

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


class PersonMiddleware(AuthenticationMiddleware):
    """Django's own, but it does not ask again for a person whom the session has brought."""

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
