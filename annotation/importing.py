"""New triplets: pairs to vote on, and files that bring their labels with them.

A file is imported whole or not at all: all rows are checked and all clips decoded before the first
row is written, and the rows are written in one transaction.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F

from annotation.campaigns import create_campaign
from annotation.duplicates import Duplicate, Opinion, Sides, distinct, opinion_of, refused, sides_of
from annotation.errors import CampaignError, MediaError
from annotation.media import KeptClip, keep_clip, measured, register_clip
from annotation.models import (
    Campaign,
    CampaignKind,
    CampaignState,
    Consensus,
    ConsensusSource,
    DimensionSet,
    Generator,
    Prompt,
    Slot,
    Triplet,
    TripletState,
    Video,
)
from annotation.probing import Clip
from annotation.videoalign import Row, Sheet, read_sheet
from formats.files import sha256_of
from formats.labels import Label

Pair = tuple[Prompt, Video, Video | None]  # no second clip in a campaign of single clips
_SHUFFLE: Final = 2**40
_BATCH: Final = 1000


def create_triplets(
    campaign: Campaign,
    pairs: Iterable[Pair],
    *,
    priority: int = 0,
    chance: random.Random | None = None,
) -> list[Triplet]:
    """Add pairs to vote on, with one slot per wanted vote; one triplet per pair, in order.

    A pair that the campaign has already, also as B/A, gives the triplet that is there, so that
    doing it twice adds nothing. Raises CampaignError if two clips are one or belong to another
    prompt.
    """
    pairs = list(pairs)
    for pair in pairs:
        _check_pair(campaign, pair)
    with transaction.atomic():
        # Serialises imports into one campaign, so that `known` stays true until the end.
        Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
        known = {_pair_key(each): each for each in campaign.triplets.all()}
        wanted = [
            Triplet(
                campaign=campaign,
                prompt=prompt,
                video_a=video_a,
                video_b=video_b,
                need=campaign.votes_wanted,
                priority=priority,
            )
            for prompt, video_a, video_b in pairs
        ]
        new = {_pair_key(each): each for each in reversed(wanted)}
        fresh = [new[key] for key in dict.fromkeys(map(_pair_key, wanted)) if key not in known]
        _store(campaign, fresh, chance or random.SystemRandom())
        _store_slots(campaign, fresh)
    together = {**new, **known}
    return [together[key] for key in dict.fromkeys(map(_pair_key, wanted))]


def _check_pair(campaign: Campaign, pair: Pair) -> None:
    prompt, video_a, video_b = pair
    single = campaign.kind == CampaignKind.SINGLE
    if single != (video_b is None):
        expected = "one clip per question" if single else "two clips per question"
        raise CampaignError(f"the campaign {campaign.name!r} asks about {expected}")
    if video_b is not None and video_a.pk == video_b.pk:
        raise CampaignError(f"a pair needs two clips, but both are {video_a.pk}")
    for video in (video_a, video_b or video_a):
        if video.prompt_id != prompt.pk:
            raise CampaignError(f"the clip {video.pk} was not made for the prompt {prompt!s:.60}")


def _pair_key(triplet: Triplet) -> tuple[int, frozenset[object]]:
    return triplet.prompt_id, frozenset((triplet.video_a_id, triplet.video_b_id))


def _store(campaign: Campaign, triplets: Sequence[Triplet], chance: random.Random) -> None:
    for triplet in triplets:
        triplet.shuffle = chance.randrange(_SHUFFLE)
    Triplet.objects.bulk_create(triplets, batch_size=_BATCH)
    done = sum(triplet.state == TripletState.COMPLETE for triplet in triplets)
    Campaign.objects.filter(pk=campaign.pk).update(
        triplets_total=F("triplets_total") + len(triplets), triplets_done=F("triplets_done") + done
    )
    campaign.refresh_from_db(fields=["triplets_total", "triplets_done"])


def _store_slots(campaign: Campaign, triplets: Sequence[Triplet]) -> None:
    Slot.objects.bulk_create(
        (
            Slot(
                triplet=triplet,
                campaign=campaign,
                # Priority goes first; the shuffle decides within it.
                position=-triplet.priority * 2 * _SHUFFLE + triplet.shuffle,
                n=n,
            )
            for triplet in triplets
            for n in range(1, triplet.need + 1)
        ),
        batch_size=_BATCH,
    )


# Files that bring their labels.


@dataclass(frozen=True, slots=True)
class ImportReport:
    campaign_id: int
    campaign: str
    rows: int
    triplets: int  # added
    duplicates: tuple[Duplicate, ...]
    warnings: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """The report for a person."""
        yield (
            f"{self.campaign}: {self.triplets} triplets from {self.rows} rows,"
            f" {len(self.duplicates)} duplicates skipped, {len(self.warnings)} warnings"
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
    file = Path(file)
    sheet = read_sheet(file, _dimension_keys(campaign_name))
    folder = clips or file.parent
    digests = _digests(file, sheet, folder)
    rows, duplicates = distinct(file, sheet.rows, digests)
    first_use = {path: row for row in reversed(rows) for path in _paths(row)}
    probed = {path: _probed(file, row, folder / path) for path, row in first_use.items()}
    kept = {path: keep_clip(folder / path, clip) for path, clip in probed.items()}
    with transaction.atomic():
        campaign = _campaign(campaign_name, user)
        fresh, known = _not_in(file, campaign, rows, digests)
        _write_labelled(campaign, sheet, fresh, kept)
    return ImportReport(
        campaign_id=campaign.pk,
        campaign=campaign.name,
        rows=len(sheet.rows),
        triplets=len(fresh),
        duplicates=tuple(sorted([*duplicates, *known], key=lambda each: each.line)),
        warnings=(*sheet.warnings, *_false_numbers(file, rows, kept)),
    )


def _dimension_keys(campaign_name: str) -> tuple[str, ...]:
    name = DimensionSet.objects.filter(campaign__name=campaign_name).values_list("name", flat=True)
    used = DimensionSet.objects.get(name=name.first() or "videoalign")
    return used.to_format().keys


def _campaign(name: str, user: User | None) -> Campaign:
    """The campaign, locked until the rows are in; a new one is closed: nobody has to vote."""
    if not Campaign.objects.filter(name=name).exists():
        create_campaign(name, "videoalign", state=CampaignState.CLOSED, created_by=user)
    return Campaign.objects.select_for_update(no_key=True).get(name=name)


def _paths(row: Row) -> tuple[str, str]:
    return row.path_a, row.path_b


def _digests(file: Path, sheet: Sheet, folder: Path) -> dict[str, str]:
    """sha256 of each clip that the file names."""
    digests: dict[str, str] = {}
    for row in sheet.rows:
        for path in _paths(row):
            if path not in digests:
                if not (folder / path).is_file():
                    raise refused(file, row, f"the clip {folder / path} is missing")
                digests[path] = sha256_of(folder / path)
    return digests


def _probed(file: Path, row: Row, path: Path) -> Clip:
    try:
        return measured(path)
    except MediaError as error:
        raise refused(file, row, error.message) from None


def _not_in(
    file: Path, campaign: Campaign, rows: Sequence[Row], digests: dict[str, str]
) -> tuple[list[Row], list[Duplicate]]:
    """Rows that the campaign does not have yet, and those that it has with the same labels."""
    there = _labelled_pairs(campaign)
    fresh, duplicates = [], []
    for row in rows:
        sides = sides_of(row, digests)
        swap = sides.mirrored in there
        earlier = there.get(sides.mirrored if swap else sides)
        if earlier is None:
            fresh.append(row)
        elif earlier == opinion_of(row, swap=swap):
            duplicates.append(Duplicate(row.line, None, swap))
        else:
            raise refused(
                file, row, f"the campaign {campaign.name!r} has this pair already, otherwise judged"
            )
    return fresh, duplicates


def _labelled_pairs(campaign: Campaign) -> dict[Sides, Opinion]:
    """What the imported triplets of a campaign say; a pair that is voted on says nothing."""
    found: dict[int, tuple[Sides, Opinion]] = {
        pk: (Sides(*digests), ({}, {}, {}))
        for pk, *digests in campaign.triplets.values_list(
            "pk", "prompt__sha256", "video_a__sha256", "video_b__sha256"
        )
    }
    imported = Consensus.objects.filter(triplet__campaign=campaign, source=ConsensusSource.IMPORT)
    columns = ("triplet_id", "dimension__key", "label", "score_a", "score_b")
    for pk, key, label, score_a, score_b in imported.values_list(*columns):
        labels, scores_a, scores_b = found[pk][1]
        labels[key] = Label(label)
        for scores, score in ((scores_a, score_a), (scores_b, score_b)):
            if score is not None:
                scores[key] = score
    return dict(found.values())


def _write_labelled(
    campaign: Campaign, sheet: Sheet, rows: Sequence[Row], kept: dict[str, KeptClip]
) -> None:
    triplets = [_labelled_triplet(campaign, sheet, row, kept) for row in rows]
    _store(campaign, triplets, random.SystemRandom())
    dimensions = {each.key: each for each in campaign.dimension_set.dimensions.all()}
    Consensus.objects.bulk_create(
        (
            Consensus(
                triplet=triplet,
                dimension=dimensions[key],
                label=label,
                source=ConsensusSource.IMPORT,
                score_a=row.scores_a.get(key),
                score_b=row.scores_b.get(key),
            )
            for triplet, row in zip(triplets, rows, strict=True)
            for key, label in row.labels.items()
        ),
        batch_size=_BATCH,
    )


def _labelled_triplet(
    campaign: Campaign, sheet: Sheet, row: Row, kept: dict[str, KeptClip]
) -> Triplet:
    prompt = Prompt.objects.for_text(row.prompt)
    video_a, video_b = (
        register_clip(
            kept[path],
            prompt=prompt,
            generator=_generator(row.values.get(f"{side}_model", "")),
            original_path=row.values[f"path_{side}"],
        )
        for side, path in zip("AB", _paths(row), strict=True)
    )
    return Triplet(
        campaign=campaign,
        prompt=prompt,
        video_a=video_a,
        video_b=video_b,
        need=0,
        state=TripletState.COMPLETE,
        # Word for word, so that the export is the same to the byte.
        source_row={"header": sheet.header, "row": row.text, "line_end": row.line_end},
    )


def _generator(name: str) -> Generator | None:
    return Generator.objects.get_or_create(name=name)[0] if name else None


def _false_numbers(file: Path, rows: Sequence[Row], kept: dict[str, KeptClip]) -> Iterator[str]:
    """Rates and lengths that the file gives otherwise than the clips are; the clips are right."""
    for row in rows:
        for side, path in zip("AB", _paths(row), strict=True):
            clip = kept[path].clip
            for column, true in (("fps", clip.fps), ("num_frames", clip.num_frames)):
                said = row.number(f"{column}_{side}")
                if said is not None and abs(said - true) > 0.01:
                    yield (
                        f"{file}:{row.line}: {column}_{side} is {said:g}, but the clip {path}"
                        f" has {true:g}"
                    )
