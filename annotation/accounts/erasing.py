"""A person is forgotten, and what they judged stays (RELIABILITY D2, GDPR Art. 17).

The account stays as a number without a name: votes hang on it, and agreement is counted by who
said what. Everything that says who that was goes: name, address, password, sessions, tokens,
failed log-ins, settings, free texts of theirs, where their acts came from. It is one transaction,
after a tombstone that outlives a restore (`tombstones`). Ids, not names, stand in snapshots and
run directories, so nothing there changes.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import adjudicating, assigning, voting
from annotation.access import audit
from annotation.accounts import invitations, people, tombstones
from annotation.errors import BadAccount, NotAllowed, NotFound
from annotation.models import AuditEntry, Consent, Erasure, GuidelineAcceptance
from annotation.quality import flags, probes

# Rows that go with an account by themselves (CASCADE) belong to the person and are removed; these
# say that somebody agreed, and who of us did what, by number alone.
_KEPT: Final = (Consent, GuidelineAcceptance, LogEntry)


@dataclass(frozen=True, slots=True)
class Names:
    """What tells who somebody is: looked for afterwards, never written."""

    username: str
    full_name: str
    email: str

    @classmethod
    def of(cls, user: User) -> "Names":
        return cls(user.username, user.get_full_name().strip(), user.email)

    def all(self) -> tuple[str, ...]:
        return tuple(each for each in (self.username, self.full_name, self.email) if each)


@dataclass(frozen=True, slots=True)
class Reapplied:
    """What a list of erasures found in a restored database: numbers of accounts."""

    erased: list[int] = field(default_factory=list)
    already: list[int] = field(default_factory=list)
    absent: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)  # the number belongs to somebody else now


def ask(user: User) -> Erasure:
    """A person wishes to be forgotten; an operator does it."""
    wish, _made = Erasure.objects.get_or_create(person=user)
    return wish


def withdraw(user: User) -> None:
    """The wish is taken back before it was done."""
    Erasure.objects.filter(person=user, done_at__isnull=True).delete()


def waiting() -> models.QuerySet[Erasure]:
    """Wishes that nobody has granted, oldest first."""
    return (
        Erasure.objects.filter(done_at__isnull=True)
        .select_related("person")
        .order_by("asked_at", "pk")
    )


def is_erased(user: User) -> bool:
    return Erasure.objects.filter(person=user, done_at__isnull=False).exists()


def erase(by: audit.Who, user_id: int) -> list[str]:
    """Forget this person. Gives the places where their names still stand: texts of others."""
    user = _erasable(by, user_id)
    names = Names.of(user)
    tombstones.bury(user)
    _forget(by, user, timezone.now())
    return traces(names)


def reapply() -> Reapplied:
    """After a restore: erase again whoever was erased since the backup."""
    found = Reapplied()
    for stone in tombstones.buried():
        user = User.objects.filter(pk=stone.person).first()
        if user is None:
            found.absent.append(stone.person)
        elif tombstones.fingerprint(user) != stone.fingerprint:
            found.others.append(stone.person)
        elif is_erased(user):
            found.already.append(stone.person)
        else:
            _forget(None, user, datetime.fromisoformat(stone.at))
            found.erased.append(stone.person)
    return found


def _erasable(by: audit.Who, user_id: int) -> User:
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound(_("There is no such account."))
    asker = audit.person_of(by)
    if by is not None and not _is_operator(asker):
        raise NotAllowed(_("Only an operator erases a person."))
    if is_erased(user):
        raise BadAccount(_("This person was erased already."))
    others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
    if user.is_superuser and not others.exists():
        raise BadAccount(_("This is the last operator; make another one first."))
    return user


def _is_operator(user: User | None) -> bool:
    return user is not None and user.is_active and user.is_superuser


@transaction.atomic
def _forget(by: audit.Who, user: User, at: datetime) -> None:
    # The same row as the admin locks: a form of there must not give anything back afterwards.
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    names = Names.of(user)
    people.give_back(user)
    _empty_texts(user)
    _remove_own_rows(user)
    _empty_logs(user, names)
    _strip(user)
    Erasure.objects.update_or_create(
        person=user, defaults={"done_at": at, "done_by": audit.person_of(by)}
    )
    audit.record(by, "person.erase", user)


def _strip(user: User) -> None:
    """The account without its person; nobody can log in with it, and it may do nothing."""
    user.groups.clear()
    user.user_permissions.clear()
    nobody = User(username=f"erased-{uuid.uuid4().hex[:12]}")
    nobody.set_unusable_password()
    User.objects.filter(pk=user.pk).update(
        username=nobody.username,
        password=nobody.password,
        first_name="",
        last_name="",
        email="",
        last_login=None,
        is_active=False,
        is_staff=False,
        is_superuser=False,
    )


def _empty_texts(user: User) -> None:
    for forget in (
        voting.forget_texts,
        assigning.forget_texts,
        probes.forget_texts,
        flags.forget_texts,
        adjudicating.forget_texts,
        invitations.forget_texts,
    ):
        forget(user)


def _remove_own_rows(user: User) -> None:
    """Profile, tokens, sessions, stored answers, notices, and what other apps keep of a person."""
    for relation in User._meta.get_fields(include_hidden=True):
        if not isinstance(relation, models.ManyToOneRel) or relation.on_delete != models.CASCADE:
            continue
        table = relation.related_model
        # Tables between two others (members of a campaign) hold two numbers.
        if table not in _KEPT and not table._meta.auto_created:
            table._base_manager.filter(**{relation.field.name: user}).delete()


def _empty_logs(user: User, names: Names) -> None:
    """Log-ins by name, the names in the admin's own history, and where acts came from."""
    for table in (AccessAttempt, AccessFailureLog, AccessLog):
        table.objects.filter(username=names.username).delete()
    ours = ContentType.objects.get_for_model(User)
    LogEntry.objects.filter(content_type=ours, object_id=str(user.pk)).update(
        object_repr=f"user {user.pk}", change_message=""
    )
    AuditEntry.objects.filter(person=user).exclude(address="").update(address="")
    about = Q(person=user) | Q(target=f"user {user.pk}")
    for name in names.all():
        about |= Q(details__icontains=name)
    AuditEntry.objects.filter(about).exclude(details={}).update(address="", details={})


# Looking for what is left.


def traces(names: Names) -> list[str]:
    """`table.column: count` wherever a name of this person still stands, as a word of its own.

    Texts of others are theirs: a prompt may say alice. The operator looks at these.
    """
    found = []
    pattern = "|".join(_word(name) for name in names.all())
    for table, column in _texts():
        rows = table._base_manager.annotate(text_of_it=Cast(column, models.TextField()))
        if count := rows.filter(text_of_it__iregex=pattern).count():
            found.append(f"{table._meta.db_table}.{column}: {count}")
    return found


def _word(name: str) -> str:
    """As both engines read it; PostgreSQL knows no \b of Python."""
    return rf"(^|[^A-Za-z0-9_]){re.escape(name)}($|[^A-Za-z0-9_])"


def _texts() -> Iterator[tuple[Any, str]]:
    for table in apps.get_models(include_auto_created=True):
        for column in table._meta.local_concrete_fields:
            text = isinstance(column, models.CharField | models.TextField | models.JSONField)
            # Of a list of words of ours, or a hash: nobody's name.
            if text and not column.choices and not column.name.endswith(("sha256", "hash")):
                yield table, column.name
