"""The audit log: who did what that could harm, to what, when, and from where.

`record` is called inside the transaction of the act, so that neither is there without the other.
Nothing ever changes an entry: triggers of the database see to it (migration 0018). Details hold
ids, numbers and words of ours, never a name, a password or a secret; what a person typed (a reason)
is the one exception, and erasure empties it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.request import Request

from annotation.accounts.login_limits import client_address
from annotation.errors import Unreadable
from annotation.models import ApiToken, AuditEntry

Who = HttpRequest | Request | User | AnonymousUser | None

_ACT: Final = re.compile(r"[a-z_]+\.[a-z_]+")
_SECRET: Final = frozenset({"password", "secret", "token", "key", "cookie", "session"})
_LONGEST: Final = 500  # characters of one detail
PAGE: Final = 100


def record(who: Who, act: str, target: object = "", /, **details: Any) -> AuditEntry:
    """One entry. `act` is a word with a dot, like run.start; `target` a row or a text."""
    if not _ACT.fullmatch(act):
        raise ValueError(f"an act is two words with a dot, like run.start; got {act!r}")
    if named := _SECRET & set(details):
        raise ValueError(f"the audit log keeps no {sorted(named)[0]}")
    return _write(_origin(who), act, target, details)


def note_login(
    sender: Any,  # noqa: ARG001  the signature is that of the signal
    request: HttpRequest,
    user: User,
    **_kwargs: Any,
) -> None:
    """Log-ins of those who can do more than vote."""
    if user.is_staff or user.is_superuser:
        _write((user, "session", client_address(request)), "session.begin", user, {})


def _write(
    origin: tuple[User | None, str, str], act: str, target: object, details: Mapping[str, Any]
) -> AuditEntry:
    person, via, address = origin
    return AuditEntry.objects.create(
        person=person,
        via=via,
        address=address[:64],
        act=act,
        target=_name_of(target)[:120],
        details={name: _plain(value) for name, value in details.items()},
    )


def _origin(who: Who) -> tuple[User | None, str, str]:
    """The person, the way they came, and the address they came from."""
    if who is None or isinstance(who, User | AnonymousUser):
        return _known(who), "command", ""
    given = who.auth if isinstance(who, Request) else None
    via = f"token {given.prefix}" if isinstance(given, ApiToken) else "session"
    request = who._request if isinstance(who, Request) else who
    return _known(getattr(who, "user", None)), via, client_address(request)


def person_of(who: Who) -> User | None:
    """Who it is; None is the machine, or an operator at its command line."""
    return _origin(who)[0]


def _known(user: Any) -> User | None:
    # A lazy user of a request is a User only to isinstance; the row wants its number.
    return user if isinstance(user, User) and user.pk else None


def _name_of(target: object) -> str:
    """`run 12`: a number outlives a name, and an erased person has none."""
    if isinstance(target, Model):
        return f"{target._meta.model_name} {target.pk}"
    return str(target)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return _name_of(value)[:_LONGEST]


# Reading.


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for in the log; empty is everything."""

    act: str = ""
    target: str = ""
    person: str = ""
    since: datetime | None = None
    until: datetime | None = None


def entries(wanted: Wanted) -> QuerySet[AuditEntry]:
    """Newest first."""
    rows = AuditEntry.objects.select_related("person")
    if wanted.act:
        rows = rows.filter(act=wanted.act)
    if wanted.target:
        rows = rows.filter(target=wanted.target)
    if wanted.person:
        rows = rows.filter(person__username=wanted.person)
    if wanted.since:
        rows = rows.filter(at__gte=wanted.since)
    if wanted.until:
        rows = rows.filter(at__lt=wanted.until)
    return rows


def page(wanted: Wanted, before: int | None = None) -> tuple[list[AuditEntry], int | None]:
    """A page for the eye, and the number that the next one begins below, if there are more."""
    rows = entries(wanted)
    rows = rows.filter(pk__lt=before) if before else rows
    found = list(rows[: PAGE + 1])
    return found[:PAGE], found[PAGE - 1].pk if len(found) > PAGE else None


def acts() -> list[str]:
    """The acts that were ever recorded."""
    return list(AuditEntry.objects.order_by("act").values_list("act", flat=True).distinct())


def wanted_of(query: Mapping[str, str]) -> Wanted:
    """From the entries of a query; Unreadable with the one that cannot be read."""
    return Wanted(
        act=query.get("act", ""),
        target=query.get("target", ""),
        person=query.get("person", ""),
        since=_moment(query, "since"),
        until=_moment(query, "until"),
    )


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name, "")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable(
            f"{name} must be a day or a moment like 2026-11-22T10:00, got {text[:80]!r}."
        ) from None
    return moment if moment.tzinfo else timezone.make_aware(moment)
