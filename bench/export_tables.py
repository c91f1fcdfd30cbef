"""The section of docs/benchmarks.md on exports."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Table = Callable[[Sequence[str], Iterable[Sequence[str]]], str]

HEAD = ["what", "at least", "aim", "found", "plain"]


def export_size(figures: dict[str, Any], table: Table) -> str:
    ours, plain = figures["ways"]["ours"], figures["ways"]["plain"]
    rows = [
        ["seconds, best of the runs", "30", "10", _best(ours, "seconds"), _best(plain, "seconds")],
        ["processor seconds", "", "", _best(ours, "cpu_seconds"), _best(plain, "cpu_seconds")],
        ["peak memory, MB", "300", "150", _most(ours, "peak_mb"), _most(plain, "peak_mb")],
        ["the file, MB", "", "", _most(ours, "file_mb"), _most(plain, "file_mb")],
    ]
    site = _most(figures["ways"]["django"], "peak_mb")
    return (
        f"## Exports\n\n`make bench-export`: {figures['pairs']:,} pairs with three votes each"
        f" ({figures['snapshot_mb']:.0f} MB of JSON lines) to Parquet, the whole process,"
        f" {len(ours)} runs each; load {figures['load'][0]} to {figures['load'][1]} on"
        f" {figures['cores']} cores. Beside it plain code: all rows in a list, `from_pylist`,"
        f" `write_table`. A process of the site that does nothing needs {site} MB.\n\n"
        f"{table(HEAD, rows)}\n"
    )


def _best(runs: list[dict[str, Any]], name: str) -> str:
    return f"{min(run[name] for run in runs):.1f}"


def _most(runs: list[dict[str, Any]], name: str) -> str:
    return f"{max(run[name] for run in runs):.0f}"
