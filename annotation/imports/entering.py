"""Checked rows into the tables of a campaign, inside the transaction of their import."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from annotation.held_clips import hold_clips
from annotation.importing import Pair, create_triplets, store_triplets
from annotation.imports.duplicates import Duplicate, Opinion, Sides, opinion_of
from annotation.imports.foreign_votes import store_foreign_votes
from annotation.imports.matching import Found
from annotation.imports.rows import NamedClip, Row
from annotation.imports.tables import Sheet
from annotation.media.keeping import KeptClip, KeptPicture, register_clip, register_picture
from annotation.media.probing import Clip
from annotation.media.residents import answers_here, prompts_here
from annotation.models import (
    Campaign,
    CampaignKind,
    Consensus,
    ConsensusSource,
    Dimension,
    Generator,
    Prompt,
    ReferenceImage,
    Triplet,
    TripletState,
    Video,
)
from formats.labels import Label

_BATCH: Final = 1000
_CHUNK: Final = 5000


@dataclass(slots=True)
class Entering:
    """Writing the rows of one sheet into one campaign, inside its transaction."""

    campaign: Campaign
    sheet: Sheet
    found: Found
    kept: Mapping[str, KeptClip]
    pictures: Mapping[str, KeptPicture]
    prompts: dict[tuple[str, str], Prompt] = field(default_factory=dict)
    generators: dict[str, Generator] = field(default_factory=dict)
    videos: dict[tuple[Any, ...], Video] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def clip_of(self, clip: NamedClip) -> Clip | Video:
        return self.found.videos[clip.video] if clip.video else self.found.clips[clip.name]

    def not_there_yet(self, rows: Sequence[Row]) -> tuple[list[Row], list[Duplicate]]:
        """Rows that the campaign does not have, and those that it has with the same labels."""
        if self._for_the_pool():
            return list(rows), []
        there = _opinions(self.campaign)
        fresh, duplicates, faults = [], [], self.sheet.faults
        for row in rows:
            sides = self.found.sides_of(row)
            swap = sides.mirrored in there
            earlier = there.get(sides.mirrored if swap else sides)
            if earlier is None:
                fresh.append(row)
            elif not self.sheet.shape.labelled or earlier == opinion_of(row, swap=swap):
                duplicates.append(Duplicate(row.line, None, swap, self.sheet.places.word))
            else:
                what = (
                    f"the campaign {self.campaign.name!r} has this pair already, otherwise judged"
                )
                faults.add(row.line, what)
        faults.refuse()
        return fresh, duplicates

    def register(self, rows: Sequence[Row]) -> None:
        """Prompts and clips, before the campaign is locked: who votes there need not wait for
        them. Clips to vote on are held before the campaign, as flags hold them."""
        if self.sheet.shape.labelled:
            for some in _chunks(rows):
                self._look_up(some)
                self._bring(some)
            return
        clips = self._bring(rows)
        if not self._for_the_pool():
            hold_clips(clips)

    def _bring(self, rows: Sequence[Row]) -> list[Any]:
        """Prompts and clips of the rows into their tables; the keys of the clips."""
        clips = [clip.pk for _prompt, *both in map(self._pair, rows) for clip in both if clip]
        for row in rows:
            self._describe(self._video(row, row.a).prompt, row)
        return clips

    def write(self, rows: Sequence[Row]) -> tuple[int, int]:
        """How many triplets, and how many clips of the pool, were added."""
        if self._for_the_pool():
            before = self.campaign.pool.count()
            self.campaign.pool.add(*(self._pair(row)[1] for row in rows))
            return 0, self.campaign.pool.count() - before
        if self.sheet.shape.labelled:
            self._write_labelled(rows)
        else:
            self._write_open(rows)
        return len(rows), 0

    def _for_the_pool(self) -> bool:
        return self.sheet.shape.layout.single and self.campaign.kind != CampaignKind.SINGLE

    def _write_open(self, rows: Sequence[Row]) -> None:
        """Pairs, or single clips, to vote on; those of one priority together."""
        named = []
        for priority in sorted({row.priority for row in rows}):
            group = [row for row in rows if row.priority == priority]
            triplets = create_triplets(self.campaign, map(self._pair, group), priority=priority)
            named += self._named(triplets, group)
        Triplet.objects.bulk_update(named, ["source_row"], batch_size=_BATCH)

    def _named(self, triplets: Sequence[Triplet], rows: Sequence[Row]) -> list[Triplet]:
        """Those whose row has a name of its own for the pair."""
        named = []
        for triplet, row in zip(triplets, rows, strict=True):
            if row.pair_id:
                triplet.source_row = {"pair_id": row.pair_id}
                named.append(triplet)
        return named

    def _pair(self, row: Row) -> Pair:
        video_a = self._video(row, row.a)
        return video_a.prompt, video_a, self._video(row, row.b) if row.b else None

    def _look_up(self, rows: Sequence[Row]) -> None:
        """What of these rows is in the tables already, asked for all of them together."""
        self.videos.clear()  # those of the rows before: a large file has many
        files = [row for row in rows if not row.a.video]
        prompts = prompts_here({self.found.prompt_of(row) for row in files})
        there = answers_here({self.found.digests[clip.name] for row in files for clip in row.clips})
        for row in files:
            prompt = prompts.get(self.found.prompt_of(row))
            if prompt is None:
                continue
            self.prompts[_prompt_key(row)] = prompt
            for clip in row.clips:
                sha256 = self.found.digests[clip.name]
                video = there.get((prompt.pk, sha256, clip.generator, clip.seed))
                if video is not None:
                    video.prompt = prompt
                    self.videos[_video_key(prompt, clip)] = video

    def _video(self, row: Row, clip: NamedClip) -> Video:
        if clip.video:
            return self.found.videos[clip.video]
        prompt = self._prompt(row)
        name = _video_key(prompt, clip)
        if name not in self.videos:
            self.videos[name] = register_clip(
                self.kept[clip.name],
                prompt=prompt,
                generator=self._generator(clip.generator),
                seed=clip.seed,
                original_path=clip.given,
            )
            self.videos[name].prompt = prompt  # known: nobody need ask for it
        return self.videos[name]

    def _generator(self, name: str) -> Generator | None:
        if name and name not in self.generators:
            self.generators[name] = Generator.objects.get_or_create(name=name)[0]
        return self.generators.get(name)

    def _prompt(self, row: Row) -> Prompt:
        key = _prompt_key(row)
        if key not in self.prompts:
            self.prompts[key] = Prompt.objects.for_text(row.prompt, self._image(row))
        return self.prompts[key]

    def _image(self, row: Row) -> ReferenceImage | None:
        digest = row.image_sha256 or self.found.digests.get(row.image, "")
        if digest in self.pictures:
            return register_picture(self.pictures[digest], original_path=row.image)
        return self.found.pictures.get(digest)

    def _describe(self, prompt: Prompt, row: Row) -> None:
        """Fill in category and translations; what the prompt has already is never replaced."""
        if row.category not in ("", prompt.category) or set(row.translations) - set(
            prompt.translations
        ):
            # Read when clips were not decoded yet: another import may have said more since.
            prompt.refresh_from_db(
                fields=["category", "translations"],
                from_queryset=Prompt.objects.select_for_update(no_key=True),
            )
        said = {"category": row.category} if row.category else {}
        if said and prompt.category and prompt.category != row.category:
            self._warn(row, f"the prompt is in the category {prompt.category!r} already; kept")
            said = {}
        new = {k: text for k, text in row.translations.items() if k not in prompt.translations}
        other = [
            k for k, text in row.translations.items() if prompt.translations.get(k, text) != text
        ]
        if other:
            self._warn(row, f"the prompt has another translation into {other[0]} already; kept")
        if new or said.get("category", prompt.category) != prompt.category:
            prompt.category = said.get("category", prompt.category)
            prompt.translations = {**prompt.translations, **new}
            prompt.save(update_fields=["category", "translations"])

    def _warn(self, row: Row, what: str) -> None:
        self.warnings.append(f"{self.sheet.places.told(row.line)}: {what}")

    def _write_labelled(self, rows: Sequence[Row]) -> None:
        """Some thousand at a time: what stands in memory twice is not the whole file."""
        dimensions = {each.key: each for each in self.campaign.dimension_set.dimensions.all()}
        for some in _chunks(rows):
            self._look_up(some)
            triplets = [self._labelled(row) for row in some]
            store_triplets(self.campaign, triplets, random.SystemRandom())
            settled = (
                _consensus(triplet, row, key, dimension)
                for triplet, row in zip(triplets, some, strict=True)
                for key, dimension in dimensions.items()
            )
            Consensus.objects.bulk_create(settled, batch_size=_BATCH)
            behind = [(t, row.behind.opinions) for t, row in zip(triplets, some, strict=True)]
            store_foreign_votes(self.campaign, self.sheet.origin, behind)

    def _labelled(self, row: Row) -> Triplet:
        prompt, video_a, video_b = self._pair(row)
        return Triplet(
            campaign=self.campaign,
            prompt=prompt,
            video_a=video_a,
            video_b=video_b,
            need=0,
            state=TripletState.COMPLETE,
            source_row=self._came(row),
        )

    def _came(self, row: Row) -> dict[str, Any]:
        """Word for word, so that the export is the same to the byte; of what was never our table,
        the name of the pair and how many votes were behind it."""
        if self.sheet.shape.travelled:
            return {"pair_id": row.pair_id, "votes": row.behind.counted}
        return {"header": self.sheet.header, "row": row.text, "line_end": row.line_end}


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))


def _prompt_key(row: Row) -> tuple[str, str]:
    return row.prompt, row.image or row.image_sha256


def _video_key(prompt: Prompt, clip: NamedClip) -> tuple[Any, ...]:
    return prompt.pk, clip.name, clip.generator, clip.seed


def _consensus(triplet: Triplet, row: Row, key: str, dimension: Dimension) -> Consensus:
    return Consensus(
        triplet=triplet,
        dimension=dimension,
        label=row.labels.get(key),
        source=ConsensusSource.IMPORT,
        posterior=row.behind.posterior.get(key),
        score_a=row.scores_a.get(key),
        score_b=row.scores_b.get(key),
    )


def _opinions(campaign: Campaign) -> dict[Sides, Opinion]:
    """What the imported triplets of a campaign say; a pair that is voted on says nothing."""
    found: dict[int, tuple[Sides, Opinion]] = {
        pk: (Sides(prompt, a, b or ""), ({}, {}, {}))
        for pk, prompt, a, b in campaign.triplets.values_list(
            "pk", "prompt__sha256", "video_a__sha256", "video_b__sha256"
        )
    }
    imported = Consensus.objects.filter(triplet__campaign=campaign, source=ConsensusSource.IMPORT)
    columns = ("triplet_id", "dimension__key", "label", "score_a", "score_b")
    for pk, key, label, score_a, score_b in imported.values_list(*columns):
        labels, scores_a, scores_b = found[pk][1]
        for said, value in (
            (labels, label and Label(label)),
            (scores_a, score_a),
            (scores_b, score_b),
        ):
            if value is not None:
                said[key] = value  # type: ignore[index]
    return dict(found.values())
