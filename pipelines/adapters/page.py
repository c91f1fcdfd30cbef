"""The card of an adapter on its page: what it is, how to load it, what it changes, its limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from formats.errors import FormatError
from pipelines.adapters.cards import card_of, has_card
from pipelines.changes import Change
from pipelines.comparisons.members import Rate
from pipelines.comparisons.page import DimensionTable, motion_words, rate_cell
from pipelines.comparisons.table import MOTION
from pipelines.evaluation import OVERALL
from pipelines.models import Artifact
from pipelines.run_pages import cell


@dataclass(frozen=True, slots=True)
class AdapterPage:
    """`fault`: why there is nothing else."""

    method: str = ""
    source: str = ""
    base: str = ""
    licence: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    usage: str = ""
    judges: tuple[DimensionTable, ...] = ()
    motion: str = ""
    alarms: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    fault: str = ""


def page_of(artifact: Artifact) -> AdapterPage | None:
    """None for anything but an adapter with a card."""
    if not has_card(artifact):
        return None
    try:
        card = card_of(artifact)
    except FormatError as error:
        return AdapterPage(fault=str(error))
    said = card["training"]
    return AdapterPage(
        method=said.get("method_name", ""),
        source=said.get("method_source", ""),
        base=_base(card),
        licence=said.get("config", {}).get("licence") or "not stated; the base's applies",
        facts=tuple(_facts(card)),
        usage="\n".join(said.get("usage", ())),
        judges=tuple(table for each in card["evaluations"] for table in _judges(each)),
        motion=_motion(card),
        alarms=tuple(said.get("alarms", ())),
        limits=tuple(said.get("limits", ())),
    )


def _base(card: Mapping[str, Any]) -> str:
    """The name that the base has here; a trainer knows a place alone."""
    for row in card["lineage"]:
        for link in row["inputs"]:
            if row["run"] == card["adapter"]["run"] and "base_model" in link:
                return str(link["base_model"])
    return str(card["training"]["base"])


def _facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    said = card["training"]
    data = said.get("data", {})
    told = {
        "steps": said.get("steps"),
        "pairs": data.get("pairs"),
        "prompts": data.get("prompts"),
        "median gap": data.get("median_gap"),
        "votes per dimension": _votes(card),
        **{f"last {key.replace('_', ' ')}": value for key, value in said.get("last", {}).items()},
    }
    return [(name, cell(value)) for name, value in told.items() if value is not None]


def _votes(card: Mapping[str, Any]) -> int | None:
    """Of the largest snapshot; None where labels were imported."""
    cast = [
        row.get("votes", 0) for each in card["votes"] for row in each.get("agreement", {}).values()
    ]
    return max(cast, default=0) or None


def _judges(evaluation: Mapping[str, Any]) -> list[DimensionTable]:
    tables = []
    for judge in evaluation["judges"]:
        keys = sorted(judge["dimensions"], key=lambda key: (key != OVERALL, key))
        cells = [rate_cell(_rate(judge["dimensions"][key])) for key in keys]
        note = "its training reward" if judge["was_training_reward"] else ""
        tables.append(DimensionTable(judge["judge"], note, keys, [("with the adapter", cells)]))
    return tables


def _rate(row: Mapping[str, Any]) -> Rate:
    return Rate(row["rate"], row["low"], row["high"])


def _motion(card: Mapping[str, Any]) -> str:
    for each in reversed(card["evaluations"]):
        if moved := each["measures"].get(MOTION):
            change, amounts = motion_words(Change(**moved))
            return f"{change} ({amounts})"
    return ""
