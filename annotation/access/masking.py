"""Takes out of free texts what says who wrote them, before they leave the site (RELIABILITY D1).

Remarks are what people typed, and some sign them. Out go e-mail addresses, addresses of machines,
what browsers call themselves, and the names of those who voted in the campaign.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.contrib.auth.models import User

from annotation.models import Campaign, Vote

_EMAIL: Final = r"[\w.+'-]+@[\w-]+(?:\.[\w-]+)+"
_IPV4: Final = r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"
_IPV6: Final = r"(?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{0,4}(?![\w:])"
_BROWSER: Final = r"(?:Mozilla|Opera|curl|python-requests)/\d[^\n]*"
_SHORTEST: Final = 3  # letters of a name; shorter ones are in every text
MASK: Final = "[…]"


class Mask:
    """Of the people of one campaign."""

    def __init__(self, names: Iterable[str]):
        known = sorted({name for name in names if len(name) >= _SHORTEST}, key=len, reverse=True)
        words = [rf"(?<!\w){re.escape(name)}(?!\w)" for name in known]
        self._pattern = re.compile(
            "|".join([_EMAIL, _BROWSER, _IPV4, _IPV6, *words]), re.IGNORECASE
        )

    @classmethod
    def of(cls, campaign: Campaign) -> "Mask":
        voters = User.objects.filter(
            pk__in=Vote.objects.filter(campaign=campaign).values("annotator")
        )
        return cls(
            name
            for user in voters
            for name in (user.username, user.get_full_name(), user.last_name, user.first_name)
        )

    def text(self, text: str) -> str:
        return self._pattern.sub(MASK, text)

    def inside(self, value: Any) -> Any:
        """The same for every text inside lists and objects."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.inside(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.inside(each) for each in value]
        return value
