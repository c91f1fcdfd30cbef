"""Where the nodes of a graph without circles stand: in columns, each behind all that it stands on.

Sugiyama's way: a node's column is its longest way from the beginning, an edge over several columns
gets a place in each of them, and sweeps to and fro put neighbours side by side.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_SWEEPS: Final = 8
Edge = tuple[str, str]  # from what is read to who reads it


@dataclass(frozen=True, slots=True)
class Layout:
    """`columns` of nodes from top to bottom; `ways` of edges: (column, row) from end to end.

    A row that no node has is a place that an edge passes through.
    """

    columns: list[list[str]]
    ways: dict[Edge, list[tuple[int, int]]]


def laid_out(nodes: Sequence[str], edges: Iterable[Edge]) -> Layout:
    known = sorted({edge for edge in edges if edge[0] != edge[1]})
    depth = _depths(nodes, known)
    passes = {edge: _passes(edge, depth) for edge in known}
    columns = _filled(nodes, depth, passes)
    links = _links(passes)
    for sweep in range(_SWEEPS):
        _sweep(columns, links, forwards=sweep % 2 == 0)
    place = {name: (x, y) for x, column in enumerate(columns) for y, name in enumerate(column)}
    return Layout(
        columns=[[name if name in depth else "" for name in column] for column in columns],
        ways={edge: [place[name] for name in names] for edge, names in passes.items()},
    )


def reduced(edges: Iterable[Edge]) -> set[Edge]:
    """Without the edges that a longer way says already; none may run in a circle."""
    known = set(edges)
    behind: dict[str, set[str]] = defaultdict(set)
    for source, target in known:
        behind[source].add(target)
    reached: dict[str, set[str]] = {}

    def reach(name: str) -> set[str]:
        if name not in reached:
            reached[name] = set()
            for each in behind.get(name, ()):
                reached[name] |= {each} | reach(each)
        return reached[name]

    return {
        (source, target)
        for source, target in known
        if not any(target in reach(each) for each in behind[source] - {target})
    }


def _depths(nodes: Sequence[str], edges: Iterable[Edge]) -> dict[str, int]:
    """The longest way to each node. ValueError where the edges run in a circle."""
    before: dict[str, set[str]] = {name: set() for name in nodes}
    for source, target in edges:
        before[target].add(source)
    depth: dict[str, int] = {}
    while len(depth) < len(before):
        ready = [n for n, need in before.items() if n not in depth and need <= depth.keys()]
        if not ready:
            raise ValueError("the edges of the graph run in a circle")
        for name in ready:
            depth[name] = max((depth[each] + 1 for each in before[name]), default=0)
    return depth


def _passes(edge: Edge, depth: Mapping[str, int]) -> list[str]:
    """The places of an edge: its ends, and one that is no node in each column between them."""
    source, target = edge
    between = range(depth[source] + 1, depth[target])
    return [source, *(f"{source}>{target}@{column}" for column in between), target]


def _filled(
    nodes: Sequence[str], depth: Mapping[str, int], passes: Mapping[Edge, list[str]]
) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in nodes:
        columns[depth[name]].append(name)
    for (source, _), names in passes.items():
        for step, name in enumerate(names[1:-1], start=1):
            columns[depth[source] + step].append(name)
    return columns


def _links(passes: Mapping[Edge, list[str]]) -> dict[bool, dict[str, list[str]]]:
    """The neighbours of each place: True to those of the column before, False of that behind."""
    links: dict[bool, dict[str, list[str]]] = {True: defaultdict(list), False: defaultdict(list)}
    for names in passes.values():
        for left, right in pairwise(names):
            links[True][right].append(left)
            links[False][left].append(right)
    return links


def _sweep(
    columns: list[list[str]], links: Mapping[bool, Mapping[str, list[str]]], *, forwards: bool
) -> None:
    """Put each column in the order of the middle of its neighbours in the one before (behind)."""
    order = range(1, len(columns)) if forwards else range(len(columns) - 2, -1, -1)
    for x in order:
        fixed = columns[x - 1 if forwards else x + 1]
        row = {name: y for y, name in enumerate(fixed)}
        near = links[forwards]
        middles = {
            name: sum(row[each] for each in near[name]) / len(near[name]) if near.get(name) else y
            for y, name in enumerate(columns[x])
        }
        columns[x].sort(key=lambda name, middles=middles: middles[name])  # type: ignore[misc]
