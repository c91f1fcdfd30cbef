"""What a format would lose of one snapshot, said before anything is written."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.exports.catalogue import FORMATS, Format
from pipelines.exports.facts import Fact
from pipelines.models import Artifact

_NAMES: Final = {Fact.TIES: "tie", Fact.INVALID: "invalid", Fact.UNDECIDED: "none"}
_WITHOUT_VOTES: Final = "votes"  # the format that has no line for a pair without a vote


@dataclass(frozen=True, slots=True)
class Choice:
    """A format for one snapshot: `beside` goes into files next to the main one."""

    format: Format
    beside: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def keeps_all(self) -> bool:
        return not self.lost

    @property
    def about(self) -> tuple[str, ...]:
        """Sentences for a page; those of the docs mark words of a format with backticks."""
        return tuple(each.replace("`", "") for each in (self.format.about, *self.format.remarks))


def choices(snapshot: Artifact) -> list[Choice]:
    """Every format, with what it has no place for in this snapshot."""
    there = counted(snapshot.meta)
    return [_choice(each, there, snapshot.meta) for each in FORMATS.values()]


def counted(meta: Mapping[str, Any]) -> dict[Fact, int]:
    """How often something that a format may lose is in a snapshot, as far as its run counted."""
    counts = meta.get("counts") or {}
    labels: Counter[str] = Counter()
    for row in counts.get("labels", {}).values():
        labels.update(row)
    judgements = counts.get("judgements", 0)
    return {
        **{fact: labels[word] for fact, word in _NAMES.items()},
        Fact.SINGLE: labels["scored"],
        Fact.JUDGEMENTS: judgements,
        Fact.RELIABILITY: judgements,  # known of people whose votes are in it
    }


def _choice(each: Format, there: Mapping[Fact, int], meta: Mapping[str, Any]) -> Choice:
    beside = tuple(_lines(each.beside, there))
    lost = tuple(_lines(each.loses, there))
    imported = (meta.get("counts") or {}).get("sources", {}).get("import", 0)
    if each.name == _WITHOUT_VOTES and imported:
        lost = (f"{imported} pairs with imported labels, which have no votes", *lost)
    return Choice(each, beside, lost)


def _lines(facts: frozenset[Fact], there: Mapping[Fact, int]) -> Iterator[str]:
    """With how often it comes, where that was counted; what does not come at all is not lost."""
    for fact in Fact:
        if fact not in facts or there.get(fact) == 0:
            continue
        plain = fact is Fact.RELIABILITY or fact not in there
        yield fact.value if plain else f"{fact.value} ({there[fact]})"
