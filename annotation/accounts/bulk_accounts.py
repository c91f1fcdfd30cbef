"""Many accounts from one CSV, all or none. Each gets a link to set a password, never a password.

Columns: username, and optionally email, name, campaign (its name or number).
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models.functions import Lower

from annotation.accounts.people import PasswordLink, join_campaign, link_for
from annotation.errors import ImportRefused
from annotation.imports.faults import Faults
from annotation.models import Campaign
from annotation.permissions import ANNOTATOR

COLUMNS: Final = ("username", "email", "name", "campaign")
MAX_ROWS: Final = 5000
_FILE: Final = "accounts"


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    username: str
    email: str
    name: str
    campaign: str


@transaction.atomic
def make_accounts(text: str, default: Campaign | None = None) -> list[PasswordLink]:
    """Accounts of annotators; who has no campaign in the row joins the default one, if any.

    ImportRefused names every row that is wrong, and nothing is written.
    """
    rows = _read(text)
    faults = Faults(_FILE)
    campaigns = _campaigns(rows, faults)
    _check(rows, faults)
    faults.refuse()
    users = User.objects.bulk_create(
        User(
            username=row.username,
            email=User.objects.normalize_email(row.email),
            first_name=row.name,
            password=make_password(None),
        )
        for row in rows
    )
    Group.objects.get(name=ANNOTATOR).user_set.add(*users)
    for row, user in zip(rows, users, strict=True):
        join_campaign(user, campaigns.get(row.campaign) or default)
    return [link_for(user) for user in users]


def _read(text: str) -> list[Row]:
    if "\0" in text:
        raise ImportRefused("The table holds a NUL character; expected CSV text.")
    reader = csv.DictReader(io.StringIO(text.lstrip("\N{ZERO WIDTH NO-BREAK SPACE}")), strict=True)
    try:
        header = [name.strip().lower() for name in reader.fieldnames or ()]
        _check_header(header)
        reader.fieldnames = header
        rows = [_row(reader.line_num, each) for each in reader]
    except csv.Error as error:
        raise ImportRefused(f"{_FILE}:{reader.line_num}: not CSV: {error}") from None
    if not rows:
        raise ImportRefused("The table has a header and no row; expected one row per account.")
    if len(rows) > MAX_ROWS:
        raise ImportRefused(f"The table has {len(rows)} rows; at most {MAX_ROWS} go at once.")
    return rows


def _check_header(header: list[str]) -> None:
    expected = ", ".join(COLUMNS)
    if "username" not in header:
        raise ImportRefused(f"The table lacks the column username; expected {expected}.")
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        raise ImportRefused(f"Unknown column {unknown[0]!r}; expected {expected}.")
    if len(set(header)) != len(header):
        raise ImportRefused("A column stands twice in the header.")


def _row(line: int, cells: Mapping[str | None, str | None]) -> Row:
    if None in cells or None in cells.values():
        raise ImportRefused(f"{_FILE}:{line}: the row has not as many cells as the header.")
    return Row(line, *((cells.get(name) or "").strip() for name in COLUMNS))


def _campaigns(rows: list[Row], faults: Faults) -> dict[str, Campaign]:
    found: dict[str, Campaign] = {}
    for row in rows:
        if row.campaign and row.campaign not in found:
            number = int(row.campaign) if row.campaign.isascii() and row.campaign.isdigit() else 0
            known = Campaign.objects.filter(name=row.campaign).first()
            known = known or Campaign.objects.filter(pk=number).first()
            if known is not None:
                found[row.campaign] = known
        if row.campaign and row.campaign not in found:
            faults.add(row.line, f"there is no campaign {row.campaign!r}")
    return found


def _check(rows: list[Row], faults: Faults) -> None:
    lowered = User.objects.annotate(lowered=Lower("username"))
    taken = set(
        lowered.filter(lowered__in=[row.username.lower() for row in rows]).values_list(
            "lowered", flat=True
        )
    )
    first: dict[str, int] = {}
    for row in rows:
        for what in _faults_of(row):
            faults.add(row.line, what)
        name = row.username.lower()
        if name in taken:
            faults.add(row.line, f"there is an account {row.username!r} already")
        if name in first:
            faults.add(row.line, f"{row.username!r} stands in line {first[name]} already")
        first.setdefault(name, row.line)


def _faults_of(row: Row) -> list[str]:
    found = []
    try:
        UnicodeUsernameValidator()(row.username)
    except ValidationError:
        found.append(f"{row.username!r} is no user name: letters, digits and @ . + - _ only")
    if len(row.username) > 150 or len(row.name) > 150:
        found.append("a name has at most 150 characters")
    if row.email:
        try:
            validate_email(row.email)
        except ValidationError:
            found.append(f"{row.email!r} is no e-mail address")
    return found
