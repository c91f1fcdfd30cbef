"""What is in the data? As Table 1 and Figure 2 of the VideoAlign paper (arXiv 2501.13918)."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from django.utils.translation import gettext_lazy as _

from annotation.dashboards.panel import Column, Table, table
from annotation.dashboards.saying import LabelShares, labels_panel
from annotation.models import Generator
from annotation.opinions import Reading

_MOST_CATEGORIES = 30
_LONGEST = 60  # words; longer prompts are counted in the last bar
_WORDS_PER_BIN = 3


@dataclass(frozen=True, slots=True)
class GeneratorRow:
    """The clips of one generator that this campaign uses."""

    generator: str  # empty where it is not known
    clips: int
    triplets: int  # in which a clip of it stands, once for each clip
    sizes: tuple[str, ...]  # width x height, commonest first
    fps: tuple[float, ...]
    seconds: float  # mean duration
    seconds_low: float
    seconds_high: float
    frames: float  # mean


@dataclass(frozen=True, slots=True)
class Length:
    low: int  # words
    high: int
    prompts: int


@dataclass(frozen=True, slots=True)
class DatasetPanel:
    campaign: int
    single: bool
    prompts: int
    clips: int
    triplets: int
    settled: int  # triplets with all wanted votes, or imported with their labels
    judgements: int
    generators: tuple[GeneratorRow, ...]
    categories: tuple[tuple[str, int], ...]  # '' where a prompt has none
    with_image: int  # prompts with a reference image
    lengths: tuple[Length, ...]
    median_words: float | None
    labels: tuple[LabelShares, ...]

    def tables(self) -> tuple[Table, ...]:
        generators = [
            Column("generator", _("Generator")),
            Column("clips", _("Clips"), "count"),
            Column("triplets", _("Pairs with a clip of it"), "count"),
            Column("size", _("Size")),
            Column("fps", _("Frames per second")),
            Column("frames", _("Frames"), "number"),
            Column("seconds", _("Duration"), "seconds"),
            Column("seconds_low", _("shortest"), "seconds"),
            Column("seconds_high", _("longest"), "seconds"),
        ]
        categories = [Column("category", _("Category")), Column("prompts", _("Prompts"), "count")]
        lengths = [
            Column("words_from", _("Words from"), "count"),
            Column("words_to", _("to"), "count"),
            Column("prompts", _("Prompts"), "count"),
        ]
        return (
            table(
                "generators", _("Generators"), generators, map(_generator_cells, self.generators)
            ),
            table("categories", _("Prompt categories"), categories, self.categories),
            table(
                "lengths",
                _("Prompt lengths"),
                lengths,
                ((e.low, e.high, e.prompts) for e in self.lengths),
            ),
        )


def _generator_cells(row: GeneratorRow) -> tuple[Any, ...]:
    return (
        *(row.generator, row.clips, row.triplets, ", ".join(row.sizes)),
        ", ".join(f"{rate:g}" for rate in row.fps),
        *(row.frames, row.seconds, row.seconds_low, row.seconds_high),
    )


def dataset_panel(reading: Reading) -> DatasetPanel:
    campaign = reading.campaign
    words, categories, with_image = _prompts(reading)
    generators = _generators(reading)
    labels = labels_panel(reading)
    return DatasetPanel(
        campaign=campaign.pk,
        single=reading.single,
        prompts=len(words),
        clips=sum(row.clips for row in generators),
        triplets=len(reading.triplets),
        settled=int(reading.triplets.complete.sum()),
        judgements=sum(row.judgements for row in labels.dimensions),
        generators=generators,
        categories=categories,
        with_image=with_image,
        lengths=_lengths(words),
        median_words=float(np.median(words)) if len(words) else None,
        labels=labels.dimensions,
    )


def _prompts(reading: Reading) -> tuple[Any, tuple[tuple[str, int], ...], int]:
    """Words of each prompt that is used; prompts by category; how many have a reference image."""
    used = reading.triplets.prompt_id
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, text, category, image_id IS NOT NULL FROM annotation_prompt WHERE id IN"
            " (SELECT prompt_id FROM annotation_triplet WHERE campaign_id = %s)",
            [reading.campaign.pk],
        )
        found = cursor.fetchall()
    known = set(np.unique(used).tolist())
    rows = [row for row in found if row[0] in known]
    words = np.array([words_of(text) for _pk, text, _category, _image in rows])
    categories = Counter(category for _pk, _text, category, _image in rows)
    images = sum(bool(image) for _pk, _text, _category, image in rows)
    return words, tuple(categories.most_common(_MOST_CATEGORIES)), images


def words_of(text: str) -> int:
    """Words; a text without spaces (Chinese, Japanese) counts two characters as one."""
    words = text.split()
    return len(words) if len(words) > 1 else max(1, round(len(text) / 2)) if text else 0


def _lengths(words: Any) -> tuple[Length, ...]:
    if not len(words):
        return ()
    top = min(int(words.max()), _LONGEST)
    edges = np.arange(0, top + _WORDS_PER_BIN + 1, _WORDS_PER_BIN)
    counts, _edges = np.histogram(np.minimum(words, edges[-1] - 1), edges)
    return tuple(
        Length(int(low), int(high) - 1, int(count))
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    )


# One row per generator and shape of clip; both databases read it. Clips are joined before they are
# counted, because PostgreSQL guesses too few of them else, and looks each one up.
_SHAPES = """
SELECT generator_id, width, height, fps, COUNT(*), SUM(n),
       SUM(duration), MIN(duration), MAX(duration), SUM(num_frames)
FROM (
    SELECT video.id, generator_id, width, height, fps, duration, num_frames, COUNT(*) AS n FROM (
        SELECT video_a_id AS clip FROM annotation_triplet
        WHERE campaign_id = %s AND state <> 'withdrawn'
        UNION ALL
        SELECT video_b_id FROM annotation_triplet
        WHERE campaign_id = %s AND state <> 'withdrawn' AND video_b_id IS NOT NULL
    ) AS sides JOIN annotation_video AS video ON video.id = sides.clip
    GROUP BY video.id
) AS used
GROUP BY generator_id, width, height, fps
"""


def _generators(reading: Reading) -> tuple[GeneratorRow, ...]:
    with connection.cursor() as cursor:
        cursor.execute(_SHAPES, [reading.campaign.pk] * 2)
        rows = cursor.fetchall()
    by_generator: dict[int | None, list[Any]] = {}
    for row in rows:
        by_generator.setdefault(row[0], []).append(row[1:])
    names = dict(
        Generator.objects.filter(pk__in=[pk for pk in by_generator if pk]).values_list("pk", "name")
    )
    found = [_generator_row(names.get(pk or 0, ""), shapes) for pk, shapes in by_generator.items()]
    return tuple(sorted(found, key=lambda row: (row.generator == "", row.generator)))


def _generator_row(name: str, shapes: list[Any]) -> GeneratorRow:
    shapes.sort(key=lambda shape: -shape[3])
    clips = sum(shape[3] for shape in shapes)
    sizes = dict.fromkeys(f"{width} x {height}" for width, height, *_rest in shapes)
    return GeneratorRow(
        generator=name,
        clips=clips,
        triplets=int(sum(shape[4] for shape in shapes)),
        sizes=tuple(sizes)[:4],
        fps=tuple(sorted({float(shape[2]) for shape in shapes}))[:6],
        seconds=sum(shape[5] for shape in shapes) / clips,
        seconds_low=min(shape[6] for shape in shapes),
        seconds_high=max(shape[7] for shape in shapes),
        frames=float(sum(shape[8] for shape in shapes) / clips),
    )
