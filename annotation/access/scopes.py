"""What a token may be used for, beside the role of its owner. No scope, no door."""

from collections.abc import Iterable
from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Scope(TextChoices):
    """Each is a promise to the one who makes the token: nothing else is done with it."""

    VOTE = "vote", _("Vote as me, and see my own votes")
    READ_CAMPAIGNS = "read:campaigns", _("Read campaigns, progress and agreement")
    READ_VOTES = "read:votes", _("Read the votes of others, under pseudonyms")
    READ_MEDIA = "read:media", _("Watch clips and images")
    WRITE_CAMPAIGNS = "write:campaigns", _("Make and change campaigns")
    WRITE_IMPORT = "write:import", _("Import pairs and clips")
    EXPORT = "export", _("Take the settled labels out")
    RUNS = "runs", _("Start, watch and cancel runs")
    READ_ARTEFACT = "read:artefact", _("Download what runs leave: weights, pairs, scores, reports")


SCOPES: Final = tuple(Scope.values)
# To whom people of each kind are offered a scope; one that the role has no door for is no use.
OF_ANNOTATORS: Final = (Scope.VOTE, Scope.READ_MEDIA)


def known_scopes(wanted: Iterable[object]) -> list[str]:
    """Without doubles, in the order of the list; ValueError names the first unknown one."""
    given = list(wanted)
    for each in given:
        if each not in SCOPES:
            raise ValueError(str(each)[:80])
    return [scope for scope in SCOPES if scope in given]
