"""Raw votes of another site: one row per vote, gathered to pairs.

The label of a pair is what its votes say by our rule, unless the file says what was settled there.
Who voted stays a stranger under the pseudonym that the file gives (`foreign_votes`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from annotation.consensus import consensus_of, mean_score, vote_shares
from annotation.imports.asking import Asked
from annotation.imports.behind import (
    Behind,
    Opinion,
    Said,
    read_count,
    read_label,
    read_name,
    read_score,
)
from annotation.imports.dialect_preferences import pair_values, posteriors
from annotation.imports.rows import label_of
from annotation.imports.table_files import Cells, Table
from formats.errors import FormatError
from formats.labels import InvalidReason, Label

TITLE: Final = "raw votes"
SCHEMAS: Final = ("votes/1", "snapshot-votes/1")
_OF_KEY: Final = ("label_", "reason_", "score_a_", "score_b_")
_STATES: Final = {"counted": True, "surplus": False}  # of votes that stand
_GONE: Final = ("superseded", "withdrawn")


def fits(columns: frozenset[str]) -> bool:
    rows = {"annotator", "pair_id"} <= columns and any(c.startswith("label_") for c in columns)
    return rows or "schema" in columns


def known(_column: str) -> bool:
    return True  # what is not kept of a vote stands in docs/importing.md


@dataclass(slots=True)
class _Pair:
    first: int
    clips: Mapping[str, Any]
    settled: Mapping[str, Any] | None  # what the file says was settled, where it does
    posterior: dict[str, list[float]]
    opinions: list[Opinion] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)  # annotator -> where


def translate(table: Table, asked: Asked) -> Iterator[Cells]:
    """One row per pair, at the line of its first vote; faults where they stand."""
    pairs: dict[Any, _Pair] = {}
    cells = iter(table.cells)
    if "schema" in table.first:  # the first line says what the others are
        _check_head(next(cells).values, asked)
    for each in cells:
        fault = each.fault or _read(each, asked, pairs)
        if fault:
            yield Cells(each.line, {}, fault=fault)
    yield from (_settled(pair, asked) for pair in pairs.values())


def _check_head(head: Mapping[str, Any], asked: Asked) -> None:
    given = head.get("dimensions")
    rows = given.get("dimensions") if isinstance(given, dict) else given
    names = [each.get("key") if isinstance(each, dict) else each for each in rows or ()]
    asked.check_keys([str(each)[:40] for each in names])


def _read(cells: Cells, asked: Asked, pairs: dict[Any, _Pair]) -> str:
    """Put a vote to its pair; what is wrong with it."""
    row = cells.values
    try:
        counted = _counts(row)
        if counted is None:
            return ""
        pair = _pair_of(cells, asked, pairs)
        opinion = _opinion(row, asked, counted=counted)
    except FormatError as error:
        return error.message
    earlier = pair.lines.setdefault(opinion.annotator, cells.line)
    if earlier != cells.line:
        return f"{opinion.annotator} has a vote on this pair in line {earlier} already"
    pair.opinions.append(opinion)
    return ""


def _counts(row: Mapping[str, Any]) -> bool | None:
    """Whether the vote counts there; None for one that does not stand any more."""
    state = str(row.get("state", "counted"))
    if state not in (*_STATES, *_GONE):
        known = ", ".join((*_STATES, *_GONE))
        raise FormatError(f"state is {state[:40]!r}; expected one of {known}")
    return _STATES.get(state)


def _pair_of(cells: Cells, asked: Asked, pairs: dict[Any, _Pair]) -> _Pair:
    row = dict(cells.values)
    image = row.pop("image", None)
    if isinstance(image, dict):
        row |= {f"image_{name}": image.get(name) for name in ("path", "sha256")}
    clips = pair_values(row, asked)
    for side in "a" if asked.single else "ab":
        clips[f"video{asked.place(side)}"] = row.get(f"video_{side}")
    name = tuple(str(clips[each]) for each in sorted(clips))
    if name not in pairs:
        settled = row.get("consensus")
        given = row.get("posterior") or {}
        if not isinstance(settled, dict | None) or not isinstance(given, dict):
            raise FormatError("consensus and posterior must be objects, one entry per dimension")
        pairs[name] = _Pair(cells.line, clips, settled, posteriors(given.get, asked))
    return pairs[name]


def _opinion(row: Mapping[str, Any], asked: Asked, *, counted: bool) -> Opinion:
    swap = row.get("swap")
    return Opinion(
        annotator=read_name(row.get("annotator"), "annotator"),
        said=_said(row, asked),
        counted=counted,
        swap=swap if isinstance(swap, bool) else None,
        at=str(row.get("submitted_at") or "")[:40],
        active_ms=read_count(row.get("active_ms"), "active_ms") or None,
        remark=str(row.get("remark") or "")[:10_000],
    )


def _said(row: Mapping[str, Any], asked: Asked) -> dict[str, Said]:
    """What the vote says, in one of the three ways in which our files do."""
    given: Any
    if isinstance(row.get("labels"), dict):
        given = {key: {"label": label} for key, label in row["labels"].items()}
    elif "judgements" in row:
        given = row["judgements"]
    else:
        given = {key: {name.rstrip("_"): row.get(f"{name}{key}") for name in _OF_KEY}
                 for key in asked.keys}  # fmt: skip
    if not isinstance(given, dict) or not all(isinstance(each, dict) for each in given.values()):
        raise FormatError("judgements must be an object with an entry per dimension")
    unknown = sorted(set(given) - set(asked.keys))
    if unknown:
        raise FormatError(f"the vote judges {unknown[0][:40]!r}, which the campaign does not ask")
    said = {key: _one(key, each) for key, each in given.items() if any(each.values())}
    if not said:
        raise FormatError("the vote says nothing")
    return said


def _one(key: str, given: Mapping[str, Any]) -> Said:
    label = read_label(given.get("label"), f"the label of {key}")
    scores = [read_score(given.get(name), f"{name} of {key}") for name in ("score_a", "score_b")]
    reason = given.get("reason") or ""
    if reason and reason not in {each.value for each in InvalidReason}:
        raise FormatError(f"the reason of {key} is {str(reason)[:40]!r}, which there is not")
    if label is None and scores == [None, None]:
        raise FormatError(f"the vote says nothing on {key}")
    return Said(label, reason, *scores)


def _settled(pair: _Pair, asked: Asked) -> Cells:
    """The row of a pair, from its votes that count."""
    counted = [each.said for each in pair.opinions if each.counted]
    values, posterior = dict(pair.clips), dict(pair.posterior)
    try:
        for key in asked.keys:
            heard = [said[key] for said in counted if key in said]
            label = _label(pair, key, [each.label for each in heard])
            values[label_of(key)] = label
            for side in "a" if asked.single else "ab":
                scores = [getattr(each, f"score_{side}") for each in heard]
                values[f"MOS{asked.place(side)}_{key}"] = mean_score(scores)
            shares = vote_shares([each.label for each in heard])
            if pair.settled is None and shares is not None and label != Label.INVALID:
                posterior.setdefault(key, shares)
    except FormatError as error:
        return Cells(pair.first, {}, fault=error.message)
    behind = Behind(posterior, len(counted), tuple(pair.opinions))
    return Cells(pair.first, values, behind=behind)


def _label(pair: _Pair, key: str, labels: list[Label | None]) -> Label | None:
    if pair.settled is not None:
        return read_label(pair.settled.get(key), f"the consensus of {key}")
    if not any(labels):
        return None  # scores alone settle no label
    return consensus_of(labels)
