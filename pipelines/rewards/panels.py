"""The page part of an examined reward model: alarms, panels, probes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pipelines.rewards.accuracy import accuracy_panel, compared_panel
from pipelines.rewards.curves import differences_panel, reliability_panel
from pipelines.rewards.groups import correlations_panel, generators_panel
from pipelines.rewards.panel import Panel
from pipelines.rewards.reading import Examined

_BADGES: Final = {
    "passed": ("passed", "badge-ok"),
    "failed": ("alarm", "badge-bad"),
    "not_applicable": ("not asked", ""),
    "information": ("information", ""),
}


@dataclass(frozen=True, slots=True)
class ProbeRow:
    name: str
    word: str
    badge: str
    sentence: str
    expected: str
    measured: str


@dataclass(frozen=True, slots=True)
class RewardPage:
    """All that a page says about a reward model."""

    alarms: tuple[str, ...]
    panels: tuple[Panel, ...]
    probes: tuple[ProbeRow, ...]
    beside: str = ""  # the name of the model that stands beside
    card_urls: Mapping[str, str] = field(default_factory=dict)


def page_of(
    found: Examined,
    *,
    other: Examined | None = None,
    beside: str = "",
    card_urls: Mapping[str, str] | None = None,
) -> RewardPage:
    """`other` is a second model on the same snapshot, named `beside`."""
    rows = found.judged(found.split)
    panels = [
        accuracy_panel(found, rows),
        compared_panel(found),
        differences_panel(found, rows, other, beside),
        reliability_panel(found, rows),
        generators_panel(found, rows),
        correlations_panel(found, found.rows(found.split)),
    ]
    return RewardPage(
        alarms=tuple(each["sentence"] for each in found.probes if each["status"] == "failed"),
        panels=tuple(panel for panel in panels if panel is not None),
        probes=tuple(_probe(each) for each in found.probes),
        beside=beside,
        card_urls=card_urls or {},
    )


def _probe(each: Mapping[str, Any]) -> ProbeRow:
    word, badge = _BADGES[each["status"]]
    name = each["name"].replace("_", " ")
    return ProbeRow(name, word, badge, each["sentence"], each["expected"], each["measured"])
