"""Who may do what at the addresses of annotation, accounts and the admin (RELIABILITY 3c)."""

from typing import Final

from annotation.access.policies import (
    ANNOTATORS,
    ANYONE,
    BY_DOOR,
    LEADS,
    OPERATORS,
    PEOPLE,
    STAFF,
    VIEWERS,
    Policy,
    Rule,
    Table,
    button,
    door,
    enrol,
    form,
    page,
)
from annotation.access.scopes import Scope

_VOTE: Final = Rule(ANNOTATORS, Scope.VOTE, asked_by_door=True)
_OWN: Final = Rule(PEOPLE, Scope.VOTE)
_READ: Final = Rule(LEADS, Scope.READ_CAMPAIGNS)
_WRITE: Final = Rule(LEADS, Scope.WRITE_CAMPAIGNS)
_SEEN: Final = Rule(PEOPLE, Scope.READ_CAMPAIGNS)  # whoever may see the campaign; others get 404
_FIGURES: Final = Rule(VIEWERS, Scope.READ_CAMPAIGNS)
_SENT: Final = Rule(VIEWERS, Scope.WRITE_IMPORT)
_BY_A_PERSON: Final = Rule(LEADS)  # people and roles: never by a token
_FRESH: Final = Rule(LEADS, fresh=True)
_CLIP: Final = Policy(
    read=Rule(PEOPLE, Scope.READ_MEDIA, asked_by_door=True), query=frozenset({"x", "s"})
)
_FRESH_FORM: Final = Policy(Rule(PEOPLE, fresh=True), Rule(PEOPLE, fresh=True))
_READ_WRITE: Final = door(_READ, _WRITE)

VOTING: Final[Table] = {
    "annotation:home": page(PEOPLE),
    "annotation:annotate": page(ANNOTATORS),
    "annotation:me": page(PEOPLE),
    "annotation:clip": _CLIP,
    "annotation:poster": _CLIP,
    "annotation:reference-image": _CLIP,
    "annotation:api-next": door(act=_VOTE),
    "annotation:api-renew": door(act=_VOTE),
    "annotation:api-release": door(act=_VOTE),
    "annotation:api-skip": door(act=_VOTE),
    "annotation:api-flag-question": door(act=_VOTE),
    "annotation:api-votes": door(act=_VOTE),
    "annotation:api-my-votes": door(_OWN, query=("campaign",)),
    "annotation:api-vote": door(act=_VOTE),
    "annotation:api-scorecard": door(_OWN),
    "annotation:api-consent": door(_OWN, _OWN),
    "annotation:api-guideline": door(_SEEN, query=("language",)),
    "annotation:api-accept": door(act=_OWN),
}
CAMPAIGNS: Final[Table] = {
    "annotation:campaigns": page(VIEWERS),
    "annotation:export": page(VIEWERS),
    "annotation:plan": form(
        LEADS, "strategy", "budget", "seed", "generator", "category", "csrfmiddlewaretoken"
    ),
    "annotation:dashboard": page(VIEWERS),
    "annotation:figures-*": page(VIEWERS),
    "annotation:panel": page(VIEWERS, "seen"),
    "annotation:guideline": form(PEOPLE, "language", act=LEADS),
    "annotation:api-progress": door(_FIGURES),
    "annotation:api-agreement": door(_FIGURES),
    "annotation:api-panels": door(_FIGURES),
    "annotation:api-panel": door(_FIGURES),
    "annotation:api-panel-table": door(_FIGURES, query=("table",)),
    "annotation:api-campaigns": door(_SEEN, _WRITE, query=BY_DOOR),
    "annotation:api-campaign": door(_FIGURES, _WRITE, query=BY_DOOR),
    "annotation:api-open": door(act=_WRITE),
    "annotation:api-pause": door(act=_WRITE),
    "annotation:api-close": door(act=_WRITE),
    "annotation:api-extend": door(act=_WRITE),
    "annotation:api-clone": door(act=_WRITE),
    "annotation:api-import": door(act=Rule(LEADS, Scope.WRITE_IMPORT)),
    "annotation:api-export": door(Rule(VIEWERS, Scope.EXPORT), query=BY_DOOR),
    "annotation:api-triplets": door(_FIGURES, query=BY_DOOR),
    "annotation:api-pairs": door(act=Rule(LEADS, Scope.WRITE_IMPORT)),
    # What is sent goes into the folder for imports; imports themselves ask again.
    "annotation:api-uploads": door(_SENT, _SENT),
    "annotation:api-upload": door(_SENT, _SENT),
    "annotation:api-upload-part": door(act=_SENT),
    "annotation:api-plan": door(act=_WRITE),
    "annotation:api-priorities": door(act=_WRITE),
    "annotation:api-overlap": door(_FIGURES, query=BY_DOOR),
    "annotation:api-bridge": door(act=_WRITE),
    "annotation:api-videos": door(_FIGURES, query=BY_DOOR),
    "annotation:api-dimension-sets": door(_FIGURES, _WRITE, query=BY_DOOR),
    "annotation:api-dimension-set": door(_FIGURES, _WRITE, query=BY_DOOR),
    "annotation:api-guidelines": door(_READ, _WRITE),
    "annotation:api-guideline-draft": _READ_WRITE,
}
QUALITY: Final[Table] = {
    # To let somebody go on is here as well as to take their votes back: both by a person.
    "annotation:quality": form(LEADS, "person", fresh=True),
    "annotation:gold": form(LEADS, "kind"),
    "annotation:flags": form(LEADS, fresh=True),
    "annotation:adjudicate": page(LEADS),
    "annotation:api-gold": door(_READ, _WRITE, query=("after", "kind")),
    "annotation:api-promotable": door(_READ, _WRITE, query=("after",)),
    "annotation:api-gold-question": _READ_WRITE,
    "annotation:api-flags": door(Rule(LEADS, Scope.READ_VOTES), query=("after", "state")),
    "annotation:api-settle": door(act=_FRESH),
    "annotation:api-next-case": door(Rule(LEADS, Scope.READ_VOTES), query=("after",)),
    "annotation:api-case": door(Rule(LEADS, Scope.READ_VOTES), _WRITE),
    "annotation:api-rulings": door(Rule(LEADS, Scope.READ_VOTES)),
    "annotation:api-standings": door(Rule(LEADS, Scope.READ_VOTES)),
    "annotation:api-resume": door(act=_BY_A_PERSON),
    "annotation:api-recollection": door(Rule(LEADS, Scope.READ_VOTES), _FRESH),
}
OF_PEOPLE: Final[Table] = {
    "annotation:people": form(LEADS, "search", "after", fresh=True),
    "annotation:campaign-people": form(LEADS, "search", "after", fresh=True),
    "annotation:pay": page(LEADS, "from", "to"),
    # Names and hours leave the site.
    "annotation:pay-table": page(LEADS, "from", "to", fresh=True),
    "annotation:account": enrol(page(PEOPLE)),
    "annotation:tokens": form(PEOPLE, fresh=True),
    "annotation:revoke-token": button(PEOPLE),
    "annotation:api-tokens": door(Rule(PEOPLE), Rule(PEOPLE, fresh=True), query=BY_DOOR),
    "annotation:api-token": door(act=Rule(PEOPLE)),
    "annotation:api-profile": door(_OWN, _OWN),
    "annotation:api-hours": door(_OWN, query=("from", "to")),
    "annotation:api-invitations": door(_BY_A_PERSON, _FRESH, query=BY_DOOR),
    "annotation:api-revoke": door(act=_BY_A_PERSON),
    "annotation:api-people": door(_BY_A_PERSON, _FRESH, query=BY_DOOR),
    "annotation:api-password-link": door(act=_FRESH),
    "annotation:api-active": door(act=_FRESH),
    "annotation:api-members": door(_BY_A_PERSON, _BY_A_PERSON),
    "annotation:api-member": door(act=_BY_A_PERSON),
    "annotation:api-pay": door(_BY_A_PERSON, query=("from", "to")),
    "annotation:api-pay-table": door(_FRESH, query=("from", "to")),
}
CUSTODY: Final[Table] = {
    "annotation:audit": page(LEADS, "act", "target", "person", "since", "until", "before"),
    "annotation:api-audit": door(_BY_A_PERSON, query=BY_DOOR),
    # A lead sees who wishes to be forgotten; an operator does it.
    "annotation:erasures": Policy(Rule(LEADS), Rule(OPERATORS, fresh=True)),
    "annotation:own-erasure": button(PEOPLE),
    # Anybody for themselves, and all of them for leads.
    "annotation:api-erasures": door(_BY_A_PERSON, Rule(PEOPLE), query=BY_DOOR),
    "annotation:api-erase": door(act=Rule(OPERATORS, fresh=True)),
}
SITE: Final[Table] = {
    "annotation:join": form(ANYONE),
    "annotation:language": button(ANYONE),
    "annotation:script-texts": page(ANYONE),
    "login": form(ANYONE, "next"),
    "admin-login": form(ANYONE, "next"),
    "logout": button(ANYONE),
    "confirm": enrol(form(PEOPLE, "next")),
    "password_change": enrol(form(PEOPLE)),
    "password_change_done": enrol(page(PEOPLE)),
    "password_reset": form(ANYONE),
    "password_reset_done": page(ANYONE),
    "password_reset_confirm": form(ANYONE),
    "password_reset_complete": page(ANYONE),
    # What django-allauth answers: second factors, and identities of another service.
    "account_login": form(ANYONE, "next"),
    "account_logout": button(ANYONE),
    "account_reauthenticate": enrol(form(PEOPLE, "next")),
    "account_inactive": page(ANYONE),
    "mfa_index": enrol(page(PEOPLE)),
    "mfa_authenticate": form(ANYONE),
    "mfa_activate_totp": enrol(_FRESH_FORM),
    "mfa_deactivate_totp": enrol(_FRESH_FORM),
    "mfa_view_recovery_codes": enrol(page(PEOPLE, fresh=True)),
    "mfa_download_recovery_codes": enrol(page(PEOPLE, fresh=True)),
    "mfa_generate_recovery_codes": enrol(_FRESH_FORM),
    "openid_connect_login": form(ANYONE, "process", "next"),
    # What the other service sends back with the person.
    "openid_connect_callback": Policy(Rule(ANYONE), query=None),
    "socialaccount_login_cancelled": page(ANYONE),
    "socialaccount_login_error": page(ANYONE),
    "socialaccount_signup": form(ANYONE),
    "socialaccount_connections": form(PEOPLE, fresh=True),
    "schema": Policy(read=Rule(PEOPLE, "any"), query=frozenset({"format", "lang"})),
    "api-docs": page(PEOPLE, "script"),
    # The admin asks by model and by row; its lists read queries strictly (strict_admin.py).
    "admin:*": Policy(Rule(STAFF), Rule(STAFF), None),
    "admin:jsi18n": Policy(Rule(ANYONE), query=frozenset()),
    "admin:logout": button(ANYONE),
    # Accounts, their groups: whoever changes them gives rights away.
    "admin:auth_*": Policy(Rule(STAFF), Rule(STAFF, fresh=True), None),
}
ALL: Final[Table] = {**VOTING, **CAMPAIGNS, **QUALITY, **OF_PEOPLE, **CUSTODY, **SITE}
