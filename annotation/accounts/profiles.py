"""What a person has chosen for the pages: language and keys. The only writer of Profile.

Keys are physical (`KeyboardEvent.code`), so that a grid under the left hand stays one on every
layout. The table below is what static/js/lib/keymap.js does by default; a test compares them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth.models import User
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from annotation.errors import BadProfile
from annotation.languages import is_known
from annotation.models import Profile

_GRID: Final = {
    f"vote-{row}-{answer}": code
    for row, codes in enumerate(
        (
            ("KeyQ", "KeyW", "KeyE", "KeyR"),
            ("KeyA", "KeyS", "KeyD", "KeyF"),
            ("KeyZ", "KeyX", "KeyC", "KeyV"),
        ),
        start=1,
    )
    for answer, code in zip(("left", "tie", "right", "invalid"), codes, strict=True)
}
# Command to the key that it has when nobody has changed it.
COMMANDS: Final[Mapping[str, str]] = {
    **_GRID,
    "toggle": "Space",
    "restart": "Home",
    "step-back": "Comma",
    "step-forward": "Period",
    "slower": "BracketLeft",
    "faster": "BracketRight",
    "normal-speed": "Backslash",
    "loop": "KeyL",
    "mute": "KeyM",
    "stretch": "KeyJ",
    "pixels": "KeyP",
    "enlarge-left": "Digit5",
    "enlarge-right": "Digit6",
    "nudge-left-back": "Digit7",
    "nudge-left-forward": "Digit8",
    "nudge-right-back": "Digit9",
    "nudge-right-forward": "Digit0",
    "image": "KeyI",
    "expand": "KeyY",
    "submit": "Enter",
    "reopen": "Backspace",
    "remark": "KeyN",
    "skip": "KeyT",
    "flag": "KeyK",
    "guideline": "KeyG",
}
# Codes that a command may be put on. What votes, moves or closes has a fixed meaning.
_CODE: Final = re.compile(
    r"Key[A-Z]|Digit[05-9]|Space|Enter|Backspace|Delete|Insert|Home|End|PageUp|PageDown"
    r"|Comma|Period|Slash|Semicolon|Quote|BracketLeft|BracketRight|Backslash|Backquote|Minus|Equal"
    r"|IntlBackslash|IntlRo|IntlYen|KanaMode|Lang[1-5]|Convert|NonConvert"
)


@dataclass(frozen=True, slots=True)
class Settings:
    language: str
    keys: Mapping[str, str]
    single_letters: bool


def settings_of(user: User) -> Settings:
    profile = Profile.objects.filter(user=user).first()
    if profile is None:
        return Settings("", {}, single_letters=True)
    return Settings(profile.language, profile.keys, profile.single_letters)


def set_language(user: User, language: str) -> None:
    Profile.objects.update_or_create(user=user, defaults={"language": language})


def note_reset(user: User, between: timedelta) -> bool:
    """Whether a link may be sent to this person now; of two requests at once, one may."""
    Profile.objects.get_or_create(user=user)
    quiet = Q(reset_sent_at=None) | Q(reset_sent_at__lt=Now() - between)
    return Profile.objects.filter(quiet, user=user).update(reset_sent_at=Now()) == 1


def change(user: User, body: Mapping[str, Any]) -> Settings:
    """Take over what the body names; what it does not name stays. BadProfile changes nothing."""
    checks = {"language": _language, "keys": _keys, "single_letters": _switch}
    unknown = sorted(set(body) - set(checks))
    if unknown:
        raise BadProfile(_("There is no setting “%(name)s”.") % {"name": unknown[0][:80]})
    wanted = {name: check(body[name]) for name, check in checks.items() if name in body}
    Profile.objects.update_or_create(user=user, defaults=wanted)
    return settings_of(user)


def _language(value: object) -> str:
    if value == "" or is_known(value):
        return str(value)
    raise BadProfile(
        _("The pages are not there in the language “%(name)s”.") % {"name": _shown(value)}
    )


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise BadProfile(_("Single letters can only be on or off."))


def _keys(value: object) -> dict[str, str]:
    """Only what differs from the default is kept; no two commands may end on one key."""
    if not isinstance(value, Mapping):
        raise BadProfile(_("The keys must be an object: command to key."))
    for command, code in value.items():
        if command not in COMMANDS:
            raise BadProfile(_("There is no command “%(name)s”.") % {"name": _shown(command)})
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise BadProfile(
                _("No command can be put on the key “%(name)s”.") % {"name": _shown(code)}
            )
    _refuse_clash({**COMMANDS, **value})
    return {command: code for command, code in value.items() if COMMANDS[command] != code}


def _refuse_clash(keys: Mapping[str, str]) -> None:
    taken: dict[str, str] = {}
    for command, code in keys.items():
        if code in taken:
            raise BadProfile(
                _("The key %(key)s would mean both “%(first)s” and “%(second)s”.")
                % {"key": code, "first": taken[code], "second": command},
                commands=[taken[code], command],
            )
        taken[code] = command


def _shown(value: object) -> str:
    return str(value)[:80]
