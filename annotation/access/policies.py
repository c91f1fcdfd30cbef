"""Deny by default: every address of the site has a policy in a table, or nobody gets in.

A policy says who may read, who may act, what a token needs for it, whether the act asks for a fresh
log-in, and which entries the query may have. Pages are held to it by `PolicyMiddleware`, REST doors
by `Declared`; each app brings the table of its own addresses (`policy_table.py`). What belongs to
one row (this campaign, this vote) is decided by the door, which answers 404 to strangers.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.urls import ResolverMatch

from annotation.models import ApiToken
from annotation.permissions import Person, is_annotator, is_lead, is_ml_engineer

# Who: words for those whom a rule lets in.
ANYONE: Final = frozenset({"anyone"})  # also without a log-in
PEOPLE: Final = frozenset({"people"})  # every account
ANNOTATORS: Final = frozenset({"annotator"})
LEADS: Final = frozenset({"lead"})
ENGINEERS: Final = frozenset({"ml_engineer"})
VIEWERS: Final = LEADS | ENGINEERS
STAFF: Final = frozenset({"staff"})  # the admin asks further, by model
OPERATORS: Final = frozenset({"operator"})

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ASKED: Final[Mapping[str, Callable[[Person], bool]]] = {
    "people": lambda user: user.is_authenticated,
    "annotator": is_annotator,
    "lead": is_lead,
    "ml_engineer": is_ml_engineer,
    "staff": lambda user: bool(user.is_active and getattr(user, "is_staff", False)),
    "operator": lambda user: bool(user.is_active and user.is_superuser),
}
_SAID: Final = {
    ANNOTATORS: "Voting needs the role of an annotator.",
    LEADS: "Only leads may do this.",
    ENGINEERS: "Only ML engineers may do this.",
    VIEWERS: "Only leads and ML engineers see this.",
    OPERATORS: "Only operators may do this.",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What reading, or acting, at one address asks for."""

    who: frozenset[str]
    scope: str = ""  # what a token needs; empty: no token gets in
    fresh: bool = False  # the password again, where the log-in is older than a quarter of an hour
    asked_by_door: bool = False  # the door asks for the role in its own statement, once

    def lets_in(self, user: Person) -> bool:
        if self.who == ANYONE:
            return True
        return any(_ASKED[word](user) for word in self.who)

    @property
    def refusal(self) -> str:
        return _SAID.get(self.who, "Your account may not do this.")


@dataclass(frozen=True, slots=True)
class Policy:
    read: Rule | None = None
    act: Rule | None = None
    # What the query may name; None: the door reads its query strictly itself.
    query: frozenset[str] | None = field(default=frozenset())
    # Also for staff who have no second factor yet, where the site wants one.
    enrolling: bool = False

    def rule(self, method: str | None) -> Rule | None:
        """None: the address does not know such requests, which its door answers with 405."""
        return self.read if method in SAFE else self.act


Table = Mapping[str, Policy]
_declared: dict[str, Policy] = {}
_prefixes: dict[str, Policy] = {}


def declare(table: Table) -> None:
    """Add the addresses of an app. A name with a star at its end stands for all that begin so."""
    for name, policy in table.items():
        known = _prefixes if name.endswith("*") else _declared
        key = name.removesuffix("*")
        if known.get(key, policy) != policy:
            raise ImproperlyConfigured(f"two policies are declared for the address {name!r}")
        known[key] = policy


def policy_of(view_name: str) -> Policy | None:
    found = _declared.get(view_name)
    if found is not None:
        return found
    matching = [prefix for prefix in _prefixes if view_name.startswith(prefix)]
    return _prefixes[max(matching, key=len)] if matching else None


def of_match(match: ResolverMatch | None) -> Policy | None:
    return policy_of(match.view_name) if match is not None else None


def undeclared(view_name: str) -> str:
    return (
        f"The address {view_name!r} has no policy, so nobody may use it:"
        " declare it in annotation/access/policy_table.py or pipelines/policy_table.py."
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further. `code` is the word for machines."""

    code: str
    said: str
    status: int = 403


def refusal(rule: Rule, user: Person, token: ApiToken | None = None) -> Refusal | None:
    """None, if the role (and the scope, for a token) is enough."""
    if token is not None and (not rule.scope or rule.scope not in {*token.scopes, "any"}):
        return Refusal("scope_missing", _scope_said(rule.scope))
    if rule.asked_by_door and isinstance(user, User):
        return None
    return None if rule.lets_in(user) else Refusal("not_allowed", rule.refusal)


def _scope_said(scope: str) -> str:
    if not scope:
        return "No token may do this; a person does it on the pages of the site."
    return f"This token may not do this: it was made without the scope {str(scope)!r}."


def unknown_entry(policy: Policy, request: HttpRequest) -> str:
    """What a query names and should not; empty, if all is listed.

    Nothing of a query reaches a column by its name, and this keeps it so (RELIABILITY S3).
    """
    if policy.query is None or request.method not in SAFE:
        return ""
    unknown = sorted(set(request.GET) - policy.query)
    return unknown[0][:80] if unknown else ""


# How tables are written.


def page(who: frozenset[str], *query: str, scope: str = "", fresh: bool = False) -> Policy:
    """A page that is only read."""
    return Policy(read=Rule(who, scope, fresh), query=frozenset(query))


def form(
    who: frozenset[str], *query: str, fresh: bool = False, act: frozenset[str] | None = None
) -> Policy:
    """A page that is read, and whose forms do something."""
    return Policy(Rule(who), Rule(act or who, fresh=fresh), frozenset(query))


def button(who: frozenset[str], *, fresh: bool = False) -> Policy:
    """An address that only acts."""
    return Policy(act=Rule(who, fresh=fresh))


BY_DOOR: Final = None  # the door reads its query strictly itself, and says what there is


def door(
    read: Rule | None = None, act: Rule | None = None, *, query: Iterable[str] | None = ()
) -> Policy:
    """A REST door."""
    return Policy(read, act, frozenset(query) if query is not None else None)


def enrol(policy: Policy) -> Policy:
    """The same, also on the way to a second factor."""
    return replace(policy, enrolling=True)
