"""Prompt suites: the one writer of Suite, SuitePrompt and SuiteJudge, and what generators read.

A suite is made of a file (`suite_files` reads it), whole or not at all. Its prompts never change:
figures were made on them. How it is scored (`suite_scoring`) may.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from annotation.errors import ImportRefused, MediaError
from annotation.imports.sources import Source, opened
from annotation.media.keeping import store_reference_image
from annotation.models import Campaign, Prompt, ReferenceImage
from formats.errors import FormatError
from formats.files import sha256_of
from formats.records import PromptRecord
from pipelines.models import Suite, SuiteJudge, SuitePrompt
from pipelines.splitting import Split
from pipelines.start_images import image_ref
from pipelines.suites.files import SUFFIXES, SuiteFile, SuiteRow, read_suite
from pipelines.suites.scoring import Judge

_NAMED = 12  # faults of one kind that a sentence names
_VALUES = ("text", "short_text", "translations", "category", "split", "image_id")


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """What an import has done. `is_new`: the suite was not there before."""

    suite: Suite
    prompts: int
    warnings: list[str]
    duplicates: list[str]
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Given:
    """A file of prompts: where it lies, how people call it, where its images are.

    `path` may be a folder or a zip archive that holds one table beside its images. `links`: links
    in the folder of images may lead out of it, where an operator imports at the command line.
    """

    path: Path
    shown: str = ""
    images: Path | None = None
    links: bool = False


def import_suite(
    given: Path | Given,
    name: str,
    *,
    title: str = "",
    repair: bool = False,
    user: User | None = None,
) -> SuiteReport:
    """Make a suite of a file, whole or not at all. The same file under the same name is no change.

    With `repair`, text that was encoded twice is taken as it was meant; without, as it stands.
    """
    wanted = given if isinstance(given, Given) else Given(given)
    name = _name(name)
    try:
        with opened(
            wanted.path, name=wanted.shown, clips=wanted.images, links=wanted.links
        ) as source:
            found = read_suite(source.table, name=source.name, repair=repair)
            images = _images(source, found)
            made = {"title": title or name, "source": Path(source.name).name[:300],
                    "sha256": sha256_of(source.table), "created_by": user}  # fmt: skip
    except ImportRefused as error:
        raise FormatError(error.message) from None
    return _written(name, found, images, made)


def _name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= 100 or "/" in name or not name.isprintable():
        raise FormatError(
            f"the name of a suite has 1 to 100 letters and no slash, got {name[:120]!r}"
        )
    return name


@transaction.atomic
def _written(
    name: str, found: SuiteFile, images: Mapping[str, ReferenceImage], made: Mapping[str, Any]
) -> SuiteReport:
    suite, is_new = Suite.objects.get_or_create(name=name, defaults=made)
    values = [_values(row, images) for row in found.rows]
    if is_new:
        SuitePrompt.objects.bulk_create(
            SuitePrompt(suite=suite, position=position, **row)
            for position, row in enumerate(values, start=1)
        )
    elif list(suite.prompts.order_by("position").values(*_VALUES)) != values:
        raise FormatError(
            f"there is a suite {name!r} with other prompts; give the new one another name",
            path=made["source"],
        )
    return SuiteReport(suite, len(found.rows), found.warnings, found.duplicates, is_new)


def _values(row: SuiteRow, images: Mapping[str, ReferenceImage]) -> dict[str, Any]:
    return {
        "text": row.text,
        "short_text": row.short_text,
        "translations": row.translations,
        "category": row.category,
        "split": row.split,
        "image_id": images[row.image].pk if row.image else None,
    }


# Reference images.


def _images(source: Source, found: SuiteFile) -> dict[str, ReferenceImage]:
    """The rows of the images that a file names, by their names; all that are missing are named."""
    lines: dict[str, int] = {}
    for row in found.rows:
        if row.image:
            lines.setdefault(row.image, row.line)
    files = {image: source.file_of(image) for image in lines}
    missing = [f"line {lines[image]}: {image}" for image, file in files.items() if file is None]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise FormatError(
            f"{len(missing)} reference images are not there: {'; '.join(missing[:_NAMED])}{more};"
            " put them beside the table, or name the folder that the paths start from",
            path=source.name,
        )
    return {
        image: _stored(source, image, file, lines[image])
        for image, file in files.items()
        if file is not None
    }


def _stored(source: Source, image: str, file: Path, line: int) -> ReferenceImage:
    try:
        return store_reference_image(file, original_path=image)
    except MediaError as error:
        raise FormatError(source.plain(error.message), path=source.name, line=line) from None


# A suite of prompts that are here already: those of the demo worlds.


@transaction.atomic
def suite_of_prompts(
    name: str, prompts: Iterable[PromptRecord], *, title: str = "", category: str = ""
) -> Suite:
    """Keep these prompts as a suite; one of that name stays as it is."""
    suite, is_new = Suite.objects.get_or_create(name=name, defaults={"title": title or name})
    if is_new:
        SuitePrompt.objects.bulk_create(
            SuitePrompt(
                suite=suite, position=position, text=row.text, translations=row.translations,
                category=row.category or category, split=row.split, image=_image_row(row),
            )
            for position, row in enumerate(prompts, start=1)
        )  # fmt: skip
    return suite


def _image_row(row: PromptRecord) -> ReferenceImage | None:
    return ReferenceImage.objects.get(sha256=row.image.sha256) if row.image else None


# How it is scored.


@transaction.atomic
def set_scoring(suite: Suite, scoring: Mapping[str, Any], judges: Iterable[Judge]) -> Suite:
    """Say anew how clips on a suite are scored; `scoring` was checked (`suite_scoring`)."""
    Suite.objects.filter(pk=suite.pk).update(scoring=dict(scoring))
    SuiteJudge.objects.filter(suite=suite).delete()
    SuiteJudge.objects.bulk_create(
        SuiteJudge(
            suite=suite, name=each.name, reward_model=each.reward_model, backbone=each.backbone
        )
        for each in judges
    )
    suite.refresh_from_db()
    return suite


# What generators read.


def suite_prompts(suite: Suite, split: str = "") -> list[PromptRecord]:
    """The prompts of a suite as the generators read them, in order."""
    rows = suite.prompts.order_by("position").select_related("image")
    if split:
        rows = rows.filter(split=split)
    return [
        PromptRecord(
            id=f"{suite.name}/{row.position}",
            text=row.text,
            split=row.split,
            translations=row.translations,
            category=row.category,
            image=image_ref(row.image),
        )
        for row in rows
    ]


def campaign_prompts(campaign: Campaign) -> list[PromptRecord]:
    """The prompts of a campaign's triplets, in an order that does not depend on time."""
    rows = Prompt.objects.filter(triplet__campaign=campaign).distinct().order_by("sha256")
    return [
        PromptRecord(
            id=row.sha256[:16],
            text=row.text,
            translations=row.translations,
            image=image_ref(row.image),
        )
        for row in rows.select_related("image")
    ]


def with_split(prompts: Iterable[PromptRecord], split: Split, side: str) -> list[PromptRecord]:
    """The prompts on one side of a split by prompt, each marked with it."""
    return [replace(row, split=side) for row in prompts if split.of(row.text) == side]


__all__ = ["SUFFIXES", "Given", "SuiteReport", "import_suite", "suite_prompts", "with_split"]
