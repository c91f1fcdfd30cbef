"""Tasks of Label Studio: the `data` of a task names the pair, its annotations are votes.

An annotation that nobody is said to have made is a label: our own exports have one per task. Those
that a person made are votes of strangers; their e-mail addresses are not kept.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from annotation.consensus import consensus_of, mean_score, vote_shares
from annotation.imports.asking import Asked
from annotation.imports.behind import Behind, Opinion, Said, read_count, read_label, read_score
from annotation.imports.dialect_preferences import pair_values, posteriors
from annotation.imports.rows import label_of
from annotation.imports.table_files import TASK, Cells, Table
from formats.errors import FormatError
from formats.labels import InvalidReason, Label

TITLE: Final = "Label Studio"
_LOCAL: Final = "/data/local-files/?d="  # how Label Studio names files of its own disk
_NUMBERS: Final = {"number": "number", "rating": "rating"}


def fits(columns: frozenset[str]) -> bool:
    return columns == {TASK}


def known(_column: str) -> bool:
    return True


def translate(table: Table, asked: Asked) -> Iterator[Cells]:
    return (each if each.fault else _row(each, asked) for each in table.cells)


def _row(cells: Cells, asked: Asked) -> Cells:
    try:
        task = cells.values[TASK]
        data = _part(task, "data", dict)
        values, said = _clips(data, asked), _annotations(task, asked)
        _check_made(said)
        behind = Behind(
            posteriors((data.get("posterior") or {}).get, asked),
            read_count(data.get("votes"), "votes"),
            tuple(each for each in said if each.annotator),
        )
        values |= _labels([each.said for each in said], asked)
    except (FormatError, AttributeError) as error:
        what = error.message if isinstance(error, FormatError) else "the task is not as expected"
        return Cells(cells.line, {}, fault=what)
    return Cells(cells.line, values, behind=_with_shares(behind, values, asked))


def _check_made(said: list[Opinion]) -> None:
    """One annotation may be nobody's; of several, each is somebody's."""
    if len(said) > 1 and not all(each.annotator for each in said):
        raise FormatError("an annotation of several does not say who made it (completed_by)")


def _part(value: Any, name: str, kind: type) -> Any:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind):
        wanted = "an object" if kind is dict else "a list"
        small = isinstance(value, dict) and "annotation_id" in value
        hint = "; export as JSON, not as JSON-MIN" if small else ""
        raise FormatError(f"the task has no {name!r} that is {wanted}{hint}")
    return found


def _clips(data: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    given = dict(data)
    for side in "ab":
        path = given.get(f"video_{side}") or given.get(f"path_{side}")
        if path is not None and not isinstance(path, str):
            raise FormatError(f"video_{side} is {str(path)[:40]!r}; expected a path")
        given[f"path_{side}"] = path.removeprefix(_LOCAL) if path else None
    return pair_values(given, asked)


@dataclass(frozen=True, slots=True)
class _Written:
    """A result of an annotation: what was written into which control."""

    name: str
    value: Any


def _annotations(task: Mapping[str, Any], asked: Asked) -> list[Opinion]:
    found = []
    for each in _part(task, "annotations", list):
        results = _part(each, "result", list)
        if each.get("was_cancelled"):
            continue  # a skip
        annotator = _annotator(each.get("completed_by"))
        said = _said([_written(result) for result in results], asked)
        if said or not annotator:
            found.append(Opinion(annotator, said, at=str(each.get("created_at") or "")[:40]))
    if not found:
        raise FormatError("the task has no annotation")
    for name, count in Counter(each.annotator for each in found).items():
        if name and count > 1:
            raise FormatError(f"{name} has {count} annotations of the task; expected one")
    return found


def _annotator(given: Any) -> str:
    """A number stays; an address becomes a word that nobody can read it from."""
    person = given if not isinstance(given, dict) else given.get("id") or given.get("email")
    if person is None or person == "":
        return ""
    if isinstance(person, int) and not isinstance(person, bool):
        return f"label-studio-{person}"
    return f"label-studio-{hashlib.sha256(str(person).encode()).hexdigest()[:12]}"


def _written(result: Any) -> _Written:
    kind = result.get("type") if isinstance(result, dict) else None
    value = result.get("value") if isinstance(result, dict) else None
    if not isinstance(value, dict):
        raise FormatError("a result of the task has no value")
    name = str(result.get("from_name"))
    if kind in _NUMBERS:
        return _Written(name, value.get(_NUMBERS[kind]))
    if kind != "choices":
        raise FormatError(
            f"{name[:40]} is a {str(kind)[:20]!r}; expected choices, number or rating"
        )
    chosen = value.get("choices")
    if not isinstance(chosen, list) or len(chosen) != 1:
        raise FormatError(f"{name[:40]} has {str(chosen)[:40]!r}; expected one choice")
    return _Written(name, chosen[0])


def _said(written: list[_Written], asked: Asked) -> dict[str, Said]:
    by = {each.name: each.value for each in written}
    if len(by) != len(written):
        raise FormatError("a control is answered twice in one annotation")
    said = {}
    for key in asked.keys:
        label = read_label(by.pop(key, None), f"the label of {key}")
        scores = [read_score(by.pop(f"score_{side}_{key}", None), f"score_{side}_{key}")
                  for side in "ab"]  # fmt: skip
        if label is not None or scores != [None, None]:
            reason = InvalidReason.OTHER.value if label is Label.INVALID else ""
            said[key] = Said(label, reason, *scores)
    if by:
        asks = ", ".join(asked.keys)
        raise FormatError(
            f"the control {min(by)[:40]!r} is not asked about; the campaign has {asks}"
        )
    return said


def _labels(said: list[Mapping[str, Said]], asked: Asked) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key in asked.keys:
        heard = [each[key] for each in said if key in each]
        labels = [each.label for each in heard]
        values[label_of(key)] = consensus_of(labels) if any(labels) else None
        for side in "a" if asked.single else "ab":
            scores = [getattr(each, f"score_{side}") for each in heard]
            values[f"MOS{asked.place(side)}_{key}"] = mean_score(scores)
    return values


def _with_shares(behind: Behind, values: Mapping[str, Any], asked: Asked) -> Behind:
    """Votes without a posterior of their own have the shares of their labels for one."""
    posterior = dict(behind.posterior)
    for key in asked.keys:
        labels = [each.said[key].label for each in behind.opinions if key in each.said]
        shares = vote_shares(labels)
        if shares is not None and values[label_of(key)] != Label.INVALID:
            posterior.setdefault(key, shares)
    return Behind(posterior, behind.votes or len(behind.opinions), behind.opinions)
