"""The figures of `make bench-annotation` as tables of docs/benchmarks.md."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

Figures = dict[str, Any]
Row = list[str]
Table = Callable[[Sequence[str], Sequence[Row]], str]


def annotation(figures: Figures, table: Table) -> str:
    rows = [
        *_votes(figures), *_ratio(figures), *_import(figures), *_faults(figures),
        *_panels(figures), *_sqlite(figures),
    ]  # fmt: skip
    parts = [_heading(figures), table(["what", "at least", "aim", "found"], rows), ""]
    if "ours" in figures.get("peer", {}).get("rounds", [{}])[0]:
        parts += [_peer_heading(figures["peer"]), table(*_peer(figures)), ""]
    if "panels" in figures:
        parts += ["Each panel, cold:\n", table(["panel", "seconds"], _each_panel(figures)), ""]
    return "\n".join(parts)


def _heading(figures: Figures) -> str:
    machine = figures["machine"]
    before, after = (machine[f"load_average_{when}"][0] for when in ("before", "after"))
    return (
        "## Annotation under load\n\n`make bench-annotation`:"
        f" {figures['pairs']:,} pairs, k = 3, 60 annotators with log-in sessions,"
        f" {machine['postgres']}, gunicorn with 4 workers x 2 threads, clients on the same"
        f" {machine['cores']} cores without think time. Load average before and after:"
        f" {before}, {after}.{_again(figures.get('again', {}))}\n"
    )


def _again(parts: Figures) -> str:
    """Which rows come from a later run of their own."""
    said = [
        f"{name} (load {each['load_average_before'][0]}, {each['load_average_after'][0]})"
        for name, each in sorted(parts.items())
    ]
    return f" Measured again later, by themselves: {', '.join(said)}." if said else ""


def _pair(times: Figures) -> str:
    return f"{times['p95']:.0f} ms (p50 {times['p50']:.0f})"


def _votes(figures: Figures) -> Iterator[Row]:
    if "votes" not in figures:
        return
    found = figures["votes"]
    clients, cpu = found["clients"], found["cpu_ms_per_vote"]
    yield [f"votes/s, {clients} clients", "", "", f"{found['votes_per_second']:.1f}"]
    for each in (each for each in figures.get("peer", {}).get("rounds", []) if "ours" in each):
        both = f"{each['ours']['votes_per_second']:.1f} and {each['votes_per_second']:.1f}"
        name = f"votes/s against {figures['peer']['name']} at {each['tasks']:,} tasks, by turns"
        yield [name, "5x", "12x", f"{each['ours_to_peer']:.1f}x ({both})"]
    yield [f"next p95, {clients} clients", "50 ms", "20 ms", _pair(found["next_ms"])]
    yield [f"submit p95, {clients} clients", "50 ms", "20 ms", _pair(found["submit_ms"])]
    database = f"{cpu['web']:.1f} ms (database {cpu['database']:.1f} more)"
    yield ["server CPU per vote (next + submit)", "20 ms", "8 ms", database]
    yield ["memory of the web server (PSS)", "600 MB", "", f"{found['pss_mb']} MB"]


def _ratio(figures: Figures) -> Iterator[Row]:
    if "ratio" in figures:
        found = figures["ratio"]
        one = found["one_client"]
        sizes = f"{found['small_ms']:.1f} ms, {found['large_ms']:.1f} ms"
        name = f"`next` at {found['small_pairs']:,} and at {found['large_pairs']:,} pairs, p50"
        yield [name, "1.5", "1.1", f"{found['ratio']:.2f} ({sizes})"]
        yield ["next p95, submit p95, 1 client", "", "",
               f"{one['next_ms']['p95']:.0f} ms, {one['submit_ms']['p95']:.0f} ms"]  # fmt: skip


def _import(figures: Figures) -> Iterator[Row]:
    found = figures["import"]
    name = f"import of {found['pairs']:,} pairs (metadata)"
    parts = f"clips {found['clips_seconds']:.1f}, file {found['file_seconds']:.1f}"
    yield [name, "60 s", "20 s", f"{found['seconds']:.1f} s ({parts})"]


def _faults(figures: Figures) -> Iterator[Row]:
    if "faults" not in figures:
        return
    found = figures["faults"]
    cuts = found["cut_before"] + found["cut_after"]
    clients = found["clients"]
    what = (
        f"over-assigned, lost, duplicated of {found['acknowledged']:,} votes at {clients} clients;"
        f" {cuts} connections cut, {found['workers_killed']} workers killed"
    )
    three = f"{found['over_assigned']}, {found['lost']}, {found['duplicated']}"
    yield [what, "0, 0, 0", "0, 0, 0", three]


def _panels(figures: Figures) -> Iterator[Row]:
    if "panels" in figures:
        found = figures["panels"]
        name, seconds = max(found["seconds_by_panel"].items(), key=lambda item: float(item[1]))
        what = f"slowest of {len(found['seconds_by_panel'])} dashboard panels at"
        what += f" {found['votes']:,} votes x 3 dimensions, cold"
        yield [what, "2 s", "0.3 s", f"{seconds:.2f} s ({name})"]


def _each_panel(figures: Figures) -> list[Row]:
    found = figures["panels"]["seconds_by_panel"]
    return [[name, f"{seconds:.2f}"] for name, seconds in found.items()]


def _sqlite(figures: Figures) -> Iterator[Row]:
    if "sqlite" in figures:
        found = figures["sqlite"]
        yield ["SQLite, 8 web processes: votes/s", "50", "", f"{found['votes_per_second']:.1f}"]
        three = [found[name] for name in ("lock_errors", "over_assigned", "lost", "duplicated")]
        said = ", ".join(str(each) for each in three)
        yield ["SQLite: lock errors, over-assigned, lost, duplicated", "0, 0, 0, 0", "", said]


def _peer_heading(peer: Figures) -> str:
    return (
        f"The peer, {peer['name']}, by turns with ours: same PostgreSQL, same gunicorn, same"
        " clients (8 accounts with tokens, three required choices per task, three wanted).\n"
    )


def _peer(figures: Figures) -> tuple[list[str], list[Row]]:
    peer = figures["peer"]
    head, every = ["what"], []
    for each in peer["rounds"]:
        head += [f"{peer['name']}, {each['tasks']:,} tasks", f"ours, {figures['pairs']:,} pairs"]
        every += [each, each["ours"]]
    read: list[tuple[str, Callable[[Figures], str]]] = [
        ("votes/s", lambda each: f"{each['votes_per_second']:.1f}"),
        ("next p50 / p95", lambda each: _both(each["next_ms"])),
        ("submit p50 / p95", lambda each: _both(each["submit_ms"])),
        ("web CPU per vote", lambda each: f"{each['cpu_ms_per_vote']['web']:.1f} ms"),
        ("database CPU per vote", lambda each: f"{each['cpu_ms_per_vote']['database']:.1f} ms"),
    ]
    return head, [[name, *(get(each) for each in every)] for name, get in read]


def _both(times: Figures) -> str:
    return f"{times['p50']:.0f} / {times['p95']:.0f} ms"
