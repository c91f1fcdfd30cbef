"""Files in: pairs to vote on, labels that others gave, single clips, clips for the pool.

A file is imported whole or not at all: all rows are checked and all clips decoded before the first
row is written, and the rows are written in one transaction. What is there already is not written
again, so the same file twice adds nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, Final

from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile

from annotation.campaigns import create_campaign
from annotation.errors import ImportRefused
from annotation.imports.duplicates import Duplicate, distinct
from annotation.imports.entering import Entering
from annotation.imports.matching import Found, false_numbers, keep_images, match, probe_all
from annotation.imports.sources import (
    Source,
    import_folder,
    import_place,
    opened,
    table_with_clips,
)
from annotation.imports.tables import Labels, read_sheet
from annotation.media.keeping import keep_clip
from annotation.models import Campaign, CampaignKind, CampaignState, DimensionSet, Video
from annotation.transactions import retried, wait_for_imports

CLIPS_OF_A_PAGE: Final = 200  # new ones: decoding takes seconds each, and a browser waits


@dataclass(frozen=True, slots=True)
class Target:
    """The campaign that the rows go into; where it is not there, it is made like this."""

    name: str
    dimension_set: str = "videoalign"
    options: Mapping[str, Any] = field(default_factory=dict)
    pk: int | None = None  # of one that is there: names change while clips are decoded


@dataclass(frozen=True, slots=True)
class Asked:
    """What the file is read for."""

    campaign: int | None  # None: there was none yet
    single: bool
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportReport:
    campaign_id: int
    campaign: str
    rows: int
    triplets: int  # added
    duplicates: tuple[Duplicate, ...]
    warnings: tuple[str, ...]
    pooled: int = 0  # clips that pairs may be made of

    def lines(self) -> Iterator[str]:
        """The report for a person."""
        pooled = f"{self.pooled} clips for the pool, " if self.pooled else ""
        yield (
            f"{self.campaign}: {self.triplets} triplets from {self.rows} rows, {pooled}"
            f"{len(self.duplicates)} duplicates skipped, {len(self.warnings)} warnings"
        )
        yield from (f"duplicate: {each}" for each in self.duplicates)
        yield from (f"warning: {each}" for each in self.warnings)


def import_videoalign(
    file: Path | str, campaign_name: str, user: User | None = None, *, clips: Path | None = None
) -> ImportReport:
    """Import labelled pairs; the campaign is made with the set `videoalign` if it is not there.

    `clips` is the folder that the paths of the file start from; without it, the file's own folder.
    A pair that comes again with the same labels is skipped and reported; with other labels, as any
    other bad row, it refuses the whole file: ImportRefused, and nothing is written.
    """
    source = table_with_clips(Path(file), clips)
    return import_rows(source, Target(campaign_name), user, labels=Labels.NEEDED)


def import_rows(
    source: Source,
    target: Target,
    user: User | None = None,
    *,
    labels: Labels = Labels.AUTO,
    most_clips: int | None = None,
) -> ImportReport:
    """Import a table with its clips. `most_clips`: how many new clips may be decoded here."""
    asked = _asked(target)
    sheet = read_sheet(
        source.table,
        asked.keys,
        name=source.name,
        single=asked.single,
        labels=labels,
        parts=source.parts,
    )
    faults = sheet.faults
    rows, found = match(sheet.rows, source, faults)
    first, duplicates = distinct(rows, found.sides_of, faults, sheet.places.word)
    faults.refuse()
    _check_few(sheet.name, found, most_clips)
    probe_all(first, source, found, faults)
    pictures = keep_images(first, source, found, faults)
    new = {name: clip for name, clip in found.clips.items() if name not in found.kept}
    kept = found.kept | {name: keep_clip(found.files[name], clip) for name, clip in new.items()}

    @retried  # two imports may bring the same new prompts, each in its own order
    def written() -> tuple[Entering, list[Duplicate], int, int]:
        wait_for_imports()
        campaign = _campaign(target, asked, user, labelled=sheet.shape.labelled)
        work = Entering(campaign, sheet, found, kept, pictures)
        work.register(work.not_there_yet(first)[0])
        work.campaign = _locked(campaign, asked)
        fresh, known = work.not_there_yet(first)
        return work, known, *work.write(fresh)

    work, known, added, pooled = written()
    differ = false_numbers(sheet.places, first, work.clip_of)
    return ImportReport(
        campaign_id=work.campaign.pk,
        campaign=work.campaign.name,
        rows=len(sheet.rows),
        triplets=added,
        duplicates=tuple(sorted([*duplicates, *known], key=lambda each: each.line)),
        warnings=(*sheet.warnings, *work.warnings, *differ),
        pooled=pooled,
    )


def import_given(
    upload: UploadedFile | None, clips: str, target: Target, user: User, labels: Labels
) -> ImportReport:
    """What somebody gave on a page: a file (its paths start from the folder `clips` below
    MEDIA_ROOT/incoming), or the name of a folder there with its table, or of an archive there."""
    if upload is None:
        if not clips:
            raise ImportRefused("expected a file, or a folder below MEDIA_ROOT/incoming")
        with opened(import_place(clips), name=f"incoming/{clips}") as source:
            return import_rows(source, target, user, labels=labels, most_clips=CLIPS_OF_A_PAGE)
    # Under a name of ours; the report speaks of the file that the person knows.
    name = PurePath(upload.name or "upload").name
    with TemporaryDirectory(prefix="tiebreak-upload-") as folder:
        file = Path(folder) / "upload"
        with file.open("wb") as copy:
            for chunk in upload.chunks():
                copy.write(chunk)
        with opened(file, name=name, clips=import_folder(clips)) as source:
            return import_rows(source, target, user, labels=labels, most_clips=CLIPS_OF_A_PAGE)


def _asked(target: Target) -> Asked:
    wanted = {"name": target.name} if target.pk is None else {"pk": target.pk}
    there = Campaign.objects.filter(**wanted).select_related("dimension_set").first()
    if there is not None:
        return _asked_by(there)
    if target.pk is not None:
        raise ImportRefused(f"the campaign {target.name!r} is not there any more")
    row = DimensionSet.objects.filter(name=target.dimension_set).first()
    if row is None:
        raise ImportRefused(f"there is no dimension set {target.dimension_set!r}")
    single = target.options.get("kind") == CampaignKind.SINGLE
    return Asked(None, single, row.to_format().keys)


def _asked_by(campaign: Campaign) -> Asked:
    keys = campaign.dimension_set.to_format().keys
    return Asked(campaign.pk, campaign.kind == CampaignKind.SINGLE, keys)


def _check_few(name: str, found: Found, most: int | None) -> None:
    if most is None or len(found.files) <= most:
        return
    known = Video.objects.filter(sha256__in=set(found.digests.values())).values("sha256").distinct()
    new = len(set(found.digests.values())) - known.count()
    if new > most:
        raise ImportRefused(
            f"{name}: the file brings {new} new clips, and decoding them takes long; more than"
            f" {most} come in through `manage.py import_triplets` or a run of kind ingest"
        )


def _campaign(target: Target, asked: Asked, user: User | None, *, labelled: bool) -> Campaign:
    """The campaign, made if it is not there. A new one with labels is closed: all is said."""
    wanted = {"name": target.name} if asked.campaign is None else {"pk": asked.campaign}
    if asked.campaign is None and not Campaign.objects.filter(**wanted).exists():
        state = CampaignState.CLOSED if labelled else CampaignState.DRAFT
        create_campaign(
            target.name, target.dimension_set, state=state, created_by=user, **target.options
        )
    campaign = Campaign.objects.filter(**wanted).first()
    if campaign is None:
        raise ImportRefused(f"the campaign {target.name!r} is not there any more")
    return campaign


def _locked(campaign: Campaign, asked: Asked) -> Campaign:
    """The campaign as it is now; whoever completes a pair there waits until the rows are in."""
    row = Campaign.objects.select_for_update(no_key=True).filter(pk=campaign.pk).first()
    if row is None:
        raise ImportRefused(f"the campaign {campaign.name!r} is not there any more")
    now = _asked_by(row)
    if (now.single, now.keys) != (asked.single, asked.keys):
        raise ImportRefused(f"what {row.name!r} asks has changed meanwhile; import again")
    return row
