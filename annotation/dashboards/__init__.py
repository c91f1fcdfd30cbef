"""What leads see: one function per panel, each giving frozen dataclasses from few queries.

PANELS["agreement"](campaign)           one panel, read for itself
READERS["agreement"](Reading(campaign)) several panels that share what they read
"""

from collections.abc import Callable
from typing import Any, Final

from annotation.dashboards.agreeing import (
    agreement_over_time_panel,
    agreement_panel,
    kappa_panel,
)
from annotation.dashboards.dataset import dataset_panel
from annotation.dashboards.generating import generators_panel
from annotation.dashboards.panel import Panel
from annotation.dashboards.people import (
    annotators_panel,
    confusion_panel,
    sides_panel,
    time_panel,
)
from annotation.dashboards.progress import progress_panel
from annotation.dashboards.saying import labels_panel
from annotation.models import Campaign
from annotation.opinions import Reading

READERS: Final[dict[str, Callable[[Reading], Panel]]] = {
    "progress": progress_panel,
    "labels": labels_panel,
    "agreement": agreement_panel,
    "agreement-over-time": agreement_over_time_panel,
    "kappa": kappa_panel,
    "annotators": annotators_panel,
    "sides": sides_panel,
    "time": time_panel,
    "confusion": confusion_panel,
    "generators": generators_panel,
    "dataset": dataset_panel,
}


def _reading_for_itself(read: Callable[[Reading], Panel]) -> Callable[[Campaign], Any]:
    return lambda campaign: read(Reading(campaign))


PANELS: Final[dict[str, Callable[[Campaign], Any]]] = {
    name: _reading_for_itself(read) for name, read in READERS.items()
}

__all__ = ["PANELS", "READERS", "Panel", "Reading"]
