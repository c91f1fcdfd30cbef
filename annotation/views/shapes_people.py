"""What the doors of people and guidelines get and send."""

from typing import Final

from annotation.models import InvitedRole, Language
from annotation.views.shapes import (
    DAY,
    MOMENT,
    TEXT,
    TRUTH,
    WHOLE,
    Shape,
    body,
    by_key,
    maybe,
    one_of,
    record,
    rows,
)
from annotation.views.shapes_voting import VIDEO

_LANGUAGE: Final = one_of(["", *Language.values])


def page(of: Shape) -> Shape:
    return record(next=maybe(TEXT), previous=maybe(TEXT), results=rows(of))


PROFILE: Final = record(language=_LANGUAGE, keys=by_key(TEXT), single_letters=TRUTH)
PROFILE_BODY: Final = body(language=_LANGUAGE, keys=by_key(TEXT), single_letters=TRUTH)
CONSENT: Final = record(text=TEXT, sha256=TEXT, given=TRUTH)
CONSENT_BODY: Final = body(sha256=TEXT)
GIVEN: Final = record(given=TRUTH)

_INVITATION: Final = {
    "id": WHOLE, "campaign": maybe(WHOLE), "role": one_of(InvitedRole), "note": TEXT,
    "uses": WHOLE, "max_uses": WHOLE, "expires_at": MOMENT, "revoked": TRUTH, "by": TEXT,
    "created_at": MOMENT,
}  # fmt: skip
INVITATION: Final = record(**_INVITATION)
INVITATIONS: Final = page(INVITATION)
INVITED: Final = record(**_INVITATION, link=TEXT)
INVITATION_BODY: Final = body(
    campaign=WHOLE, role=one_of(InvitedRole), max_uses=WHOLE, days=WHOLE, note=TEXT
)

_ACCOUNT: Final = {
    "id": WHOLE, "username": TEXT, "name": TEXT, "email": TEXT, "active": TRUTH,
    "roles": rows(TEXT), "last_login": maybe(MOMENT),
}  # fmt: skip
ACCOUNT: Final = record(**_ACCOUNT)
ACCOUNTS: Final = page(ACCOUNT)
LINK: Final = record(id=WHOLE, username=TEXT, password_link=TEXT)
LINKS: Final = record(accounts=rows(LINK))
ACCOUNTS_BODY: Final = body(csv=TEXT, campaign=WHOLE)
ACTIVE_BODY: Final = body(active=TRUTH)

MEMBER: Final = record(
    **_ACCOUNT, member=TRUTH, stage=TEXT, questions=WHOLE, consented=TRUTH, guideline=WHOLE,
    active_ms_today=WHOLE,
)  # fmt: skip
MEMBERS: Final = record(open_to_all=TRUTH, members=rows(MEMBER))
MEMBERS_BODY: Final = body(usernames=rows(TEXT))
ADDED: Final = record(added=rows(TEXT))

_PAID: Final = record(
    campaign=WHOLE, day=DAY, user=WHOLE, username=TEXT, reported_ms=WHOLE, active_ms=WHOLE,
    questions=WHOLE, hourly_rate=TEXT, amount=TEXT, currency=TEXT,
)  # fmt: skip
PAY: Final = record(days=rows(_PAID))

# Guidelines. The body of a version is checked by `guideline_bodies`, not by the schema.
_BODY: Final[Shape] = {"type": "object", "additionalProperties": True}
_DIMENSION: Final = record(title=TEXT, question=TEXT, sentences=rows(TEXT))
_EXAMPLE: Final = record(video=VIDEO, good=TRUTH, note=TEXT)
GUIDELINE: Final = {
    "type": "object",
    "properties": {
        "id": maybe(WHOLE), "version": WHOLE, "major": TRUTH, "must_accept": TRUTH,
        "accepted": TRUTH, "language": TEXT, "instructions": TEXT,
        "dimensions": by_key({**_DIMENSION, "additionalProperties": True}),
        "examples": by_key(rows(_EXAMPLE)),
    },
    "required": ["id", "version", "major", "accepted", "language", "dimensions", "examples"],
}  # fmt: skip
ACCEPTED: Final = record(accepted=WHOLE)
VERSION: Final = record(
    id=WHOLE, version=WHOLE, major=TRUTH, published_at=MOMENT, by=maybe(TEXT), body=_BODY
)
VERSIONS: Final = record(guidelines=rows(VERSION))
PUBLISH_BODY: Final = body(body=_BODY, major=TRUTH)
DRAFT: Final = record(body=_BODY, revision=WHOLE, saved_by=TEXT)
DRAFT_BODY: Final = body(body=_BODY, revision=WHOLE)
