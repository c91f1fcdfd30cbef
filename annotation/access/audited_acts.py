"""The table of what goes into the audit log: addresses of doors, and how a request is written down.

Another app adds its own with `declare`; audit_doors.py reads the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Noted:
    """How a request is written down. Names in braces are of the address or of the form."""

    act: str
    target: str = ""
    kept: tuple[str, ...] = ()  # fields whose values stand in the details
    reads: bool = False  # reading takes data out of the site


_CAMPAIGN: Final = "campaign {campaign_id}"
_MEMBER: Final = "user {user_id}"
_PEOPLE: Final = ("role", "max_uses", "days", "invitation")
ACTS: Final[dict[str, Noted]] = {
    # People and what they may do.
    "annotation:people": Noted("people.{act}", "user {user}", _PEOPLE),
    "annotation:campaign-people": Noted("people.{act}", "user {user}", (*_PEOPLE, "campaign_id")),
    "annotation:api-people": Noted("people.bulk"),
    "annotation:api-invitations": Noted("people.invite", "", ("campaign", *_PEOPLE)),
    "annotation:api-revoke": Noted("people.revoke", "invitation {invitation_id}"),
    "annotation:api-password-link": Noted("people.link", _MEMBER),
    "annotation:api-active": Noted("people.active", _MEMBER, ("active",)),
    "annotation:api-members": Noted("people.add", _CAMPAIGN),
    "annotation:api-member": Noted("people.remove", _MEMBER, ("campaign_id",)),
    "password_change": Noted("account.password"),
    # What counts and what does not.
    "annotation:quality": Noted("annotator.{act}", "user {user}", ("campaign_id",)),
    "annotation:api-resume": Noted("annotator.resume", _MEMBER, ("campaign_id",)),
    "annotation:api-recollection": Noted("annotator.recollect", _MEMBER, ("campaign_id",)),
    "annotation:flags": Noted("flag.{act}", "flag {flag}"),
    "annotation:api-settle": Noted("flag.settle", "flag {flag_id}", ("uphold",)),
    "annotation:api-rulings": Noted("triplet.rule", "triplet {triplet_id}"),
    "annotation:gold": Noted("gold.{act}", _CAMPAIGN),
    "annotation:api-gold": Noted("gold.make", _CAMPAIGN),
    "annotation:api-gold-question": Noted("gold.change", "probe {probe_id}"),
    "annotation:guideline": Noted("guideline.{act}", _CAMPAIGN),
    "annotation:api-guidelines": Noted("guideline.publish", _CAMPAIGN),
    "annotation:api-campaigns": Noted("campaign.make"),
    "annotation:api-campaign": Noted("campaign.change", _CAMPAIGN),
    "annotation:api-open": Noted("campaign.open", _CAMPAIGN),
    "annotation:api-pause": Noted("campaign.pause", _CAMPAIGN),
    "annotation:api-close": Noted("campaign.close", _CAMPAIGN),
    "annotation:api-extend": Noted("campaign.extend", _CAMPAIGN, ("votes_wanted",)),
    "annotation:api-clone": Noted("campaign.clone", _CAMPAIGN),
    "annotation:api-import": Noted("campaign.import", _CAMPAIGN),
    "annotation:api-pairs": Noted("campaign.import", _CAMPAIGN),
    "annotation:api-uploads": Noted("import.upload", "", ("name", "bytes", "sha256")),
    # Data that leave the site.
    "annotation:export": Noted("export.labels", _CAMPAIGN, reads=True),
    "annotation:api-export": Noted("export.votes", _CAMPAIGN, ("what",), reads=True),
    "annotation:pay-table": Noted("export.pay", _CAMPAIGN, ("from", "to"), reads=True),
    "annotation:api-pay-table": Noted("export.pay", _CAMPAIGN, ("from", "to"), reads=True),
    "annotation:audit": Noted("audit.read", "", ("act", "target"), reads=True),
    "annotation:api-audit": Noted("audit.read", "", ("act", "target"), reads=True),
}


def declare(table: Mapping[str, Noted]) -> None:
    """Add the addresses of another app."""
    ACTS.update(table)
