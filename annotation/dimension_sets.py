"""Dimension sets that leads make. What people were asked never changes afterwards: a set that a
campaign uses is fixed, and its next version is a set of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from annotation.errors import CampaignError
from annotation.imports.rows import Layout, Shape
from annotation.models import Dimension, DimensionSet
from formats.dimensions import BUILT_IN
from formats.dimensions import Dimension as DimensionFormat
from formats.errors import FormatError

MOST: Final = 20  # rows on a page that people fill in dozens of times an hour
_TEXTS: Final = {"title": 100, "question": 300, "group": 64}
KEYS: Final = (
    "key", "title", "question", "sees_prompt", "guideline", "group", "allow_tie", "min_width",
)  # fmt: skip


def make_dimension_set(
    name: str, title: str, dimensions: Sequence[Mapping[str, Any]]
) -> DimensionSet:
    """Make a set. Each dimension: key, title, question, and optionally sees_prompt, guideline (a
    list of sentences), group, allow_tie, min_width."""
    _check_name(name)
    if DimensionSet.objects.filter(name=name).exists():
        raise CampaignError(f"there is a dimension set {name!r} already; sets never change")
    rows = _checked(title, dimensions)
    with transaction.atomic():
        made = DimensionSet.objects.create(name=name, title=title)
        _write(made, rows)
    return made


def replace_dimension_set(
    name: str, title: str, dimensions: Sequence[Mapping[str, Any]]
) -> DimensionSet:
    """Write a set anew, as long as no campaign has asked its questions."""
    rows = _checked(title, dimensions)
    with transaction.atomic():
        found = DimensionSet.objects.select_for_update().filter(name=name).first()
        if found is None:
            raise CampaignError(f"there is no dimension set {name!r}")
        _check_free(found)
        DimensionSet.objects.filter(pk=found.pk).update(title=title)
        found.dimensions.all().delete()
        _write(found, rows)
    found.refresh_from_db()
    return found


def delete_dimension_set(found: DimensionSet) -> None:
    _check_free(found)
    found.delete()


def all_sets() -> QuerySet[DimensionSet]:
    return DimensionSet.objects.prefetch_related("dimensions")


def is_fixed(found: DimensionSet) -> bool:
    """Whether it stays as it is for good."""
    return found.name in BUILT_IN or found.campaign_set.exists()


def next_name(name: str) -> str:
    """A free name for the next version: "faces", "faces-2", "faces-3"."""
    stem, dash, number = name.rpartition("-")
    if not dash or not number.isdecimal():
        stem, number = name, "1"
    version = int(number) + 1
    while DimensionSet.objects.filter(name=f"{stem}-{version}").exists():
        version += 1
    return f"{stem}-{version}"


def _check_free(found: DimensionSet) -> None:
    if found.name in BUILT_IN:
        raise CampaignError(f"the dimension set {found.name!r} is built in and stays as it is")
    if found.campaign_set.exists():
        raise CampaignError(
            f"campaigns ask the questions of {found.name!r}, so it stays as it is; make"
            f" {next_name(found.name)!r}"
        )


def _check_name(name: str) -> None:
    plain = name.replace("-", "").replace("_", "")
    if not (0 < len(name) <= 64 and plain.isascii() and plain.isalnum()):
        raise CampaignError(
            f"the name {name[:80]!r} must be 1 to 64 letters, digits, hyphens or underscores"
        )


def _checked(title: str, dimensions: Sequence[Mapping[str, Any]]) -> list[Dimension]:
    if not title.strip() or len(title) > 200:
        raise CampaignError("a dimension set needs a title of 1 to 200 characters")
    if not 1 <= len(dimensions) <= MOST:
        raise CampaignError(f"a dimension set has 1 to {MOST} dimensions, got {len(dimensions)}")
    rows = [_dimension(row, position) for position, row in enumerate(dimensions)]
    keys = [row.key for row in rows]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise CampaignError(f"the dimension {twice[0]!r} comes twice")
    return rows


def _dimension(row: Mapping[str, Any], position: int) -> Dimension:
    unknown = sorted(set(row) - set(KEYS))
    if unknown:
        raise CampaignError(f"a dimension has no {unknown[0]!r}; there are {', '.join(KEYS)}")
    key = row.get("key", "")
    texts = {name: _text(key, name, row.get(name, ""), most) for name, most in _TEXTS.items()}
    for name in ("title", "question"):
        if not texts[name].strip():
            raise CampaignError(f"the dimension {key!r} needs a {name}")
    _check_key(key, texts["title"], texts["question"])
    width = row.get("min_width", 0)
    if not isinstance(width, int) or isinstance(width, bool) or not 0 <= width <= 10_000:
        raise CampaignError(f"min_width of {key!r} must be a whole number of pixels")
    return Dimension(
        key=key,
        position=position,
        sees_prompt=_truth(key, row, "sees_prompt", usual=True),
        allow_tie=_truth(key, row, "allow_tie", usual=True),
        guideline=_sentences(key, row.get("guideline", [])),
        min_width=width,
        **texts,
    )


def _check_key(key: object, title: str, question: str) -> None:
    if not isinstance(key, str):
        raise CampaignError(f"the key of a dimension must be a text, got {key!r}")
    try:
        DimensionFormat(key, title, question, sees_prompt=True)
    except FormatError as error:
        raise CampaignError(error.message) from None
    if any(key in Shape(layout, (), labelled=True).known for layout in Layout):
        raise CampaignError(f"the key {key!r} is the name of another column in import files")


def _text(key: object, name: str, value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise CampaignError(f"{name} of {key!r} must be a text of at most {most} characters")
    return value


def _truth(key: object, row: Mapping[str, Any], name: str, *, usual: bool) -> bool:
    value = row.get(name, usual)
    if not isinstance(value, bool):
        raise CampaignError(f"{name} of {key!r} must be true or false")
    return value


def _sentences(key: object, value: object) -> list[str]:
    known = isinstance(value, list) and all(
        isinstance(each, str) and len(each) <= 1000 for each in value
    )
    if not known or len(value) > 50:  # type: ignore[arg-type]  # known above
        raise CampaignError(f"guideline of {key!r} must be a list of at most 50 sentences")
    return list(value)  # type: ignore[call-overload,no-any-return]  # known above


def _write(made: DimensionSet, rows: Sequence[Dimension]) -> None:
    for row in rows:
        row.dimension_set = made
    Dimension.objects.bulk_create(rows)
