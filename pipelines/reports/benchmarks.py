"""What a report's page shows of benchmarks: the sides of one protocol beside one another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse

from formats.vbench import PROTOCOLS
from pipelines.run_pages import cell

_NONE: Final = "–"


@dataclass(frozen=True, slots=True)
class BenchmarkTable:
    title: str
    columns: list[tuple[str, str]]  # name, address of its artifact
    rows: list[tuple[str, list[str]]]
    totals: list[str]
    refusals: list[tuple[str, str]]
    proxies: list[tuple[str, list[str]]]


def benchmark_tables(found: Iterable[Mapping[str, Any]]) -> list[BenchmarkTable]:
    of: dict[str, list[Mapping[str, Any]]] = {}
    for each in found:
        of.setdefault(each["title"], []).append(each)
    return [_benchmark(title, sides) for title, sides in of.items()]


def _benchmark(title: str, sides: Sequence[Mapping[str, Any]]) -> BenchmarkTable:
    known = PROTOCOLS[sides[0]["protocol"]].names
    there = {key for each in sides for key in each["dimensions"]}
    keys = [*(key for key in known if key in there), *sorted(there - set(known))]
    groups = list(dict.fromkeys(key for each in sides for key in each["groups"]))
    proxies = list(dict.fromkeys(key for each in sides for key in each["proxies"]))
    raw = [{key: row["raw"] for key, row in each["dimensions"].items()} for each in sides]
    return BenchmarkTable(
        title=title,
        columns=[
            (each["name"] or "result", reverse("pipelines:artifact", args=[each["artifact"]]))
            for each in sides
        ],
        rows=[
            *((_words(key), [_raw(row.get(key)) for row in raw]) for key in keys),
            *(
                (f"{key} score", [_score(each["groups"].get(key)) for each in sides])
                for key in groups
            ),
        ],
        totals=[_score(each["total"]) for each in sides],
        refusals=[(each["name"], each["refusal"]) for each in sides if each["refusal"]],
        proxies=[(key, [cell(each["proxies"].get(key)) for each in sides]) for key in proxies],
    )


def _words(key: str) -> str:
    return key.replace("_", " ").replace("i2v", "I2V")


def _raw(value: float | None) -> str:
    return _NONE if value is None else f"{value:.4f}"


def _score(value: float | None) -> str:
    return _NONE if value is None else f"{100 * value:.2f}"
