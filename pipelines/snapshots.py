"""Consensus of a campaign -> an immutable, content-addressed snapshot (run kind `snapshot`).

Ids are hashes of content (prompt, clip, generator, seed), never row numbers: equal votes give an
equal sha256 in any database and in any order of arrival.
"""

import hashlib
import itertools
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

import numpy as np
from django.db import connection, transaction
from django.db.models import QuerySet

from annotation.exporting import pair_id
from annotation.models import Campaign, CampaignKind, Consensus, Judgement, Triplet, Video, Vote
from annotation.statistics.posteriors import refresh_posteriors
from formats.errors import FormatError
from formats.labels import CLASSES, Label
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import PreferenceRecord, VideoRef
from formats.snapshot import write_snapshot
from formats.supervised import Supervised
from pipelines import trainer_configs
from pipelines.errors import InvalidRunConfig
from pipelines.judgements import DIGITS, Reliability, attach, judgements_of
from pipelines.splitting import SPLITS, Split
from pipelines.start_images import image_ref
from pipelines.step_configs import StepConfig

_LABELS: Final = tuple(label.value for label in Label)
_PREFERENCES: Final = tuple(label.value for label in CLASSES)
_SCORES: Final = ("1", "2", "3", "4", "5")


@dataclass(frozen=True, slots=True)
class Taken:
    """What was read in one statement, and how far the votes had come."""

    records: list[PreferenceRecord]
    watermark: str  # when the youngest consensus in it was settled, ISO 8601
    annotators: Reliability = field(default_factory=dict)  # by pseudonym


@dataclass(frozen=True, slots=True)
class SnapshotConfig(StepConfig):
    """Which campaign (by id or name), and how its prompts are split."""

    campaign: int | str = ""
    split: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        Split.from_json(self.split)


def check(values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config of a snapshot run, with the campaign's id."""
    config = trainer_configs.checked(SnapshotConfig.from_json, values)
    split = Split.from_json(config["split"])
    campaign = find_campaign(config["campaign"])
    if campaign.kind == CampaignKind.RETEST:
        raise InvalidRunConfig(
            f"the campaign {campaign.name!r} is a re-test: what says whether a candidate got better"
            " must not train the next one; clone it and collect votes there to learn from its clips"
        )
    return {"campaign": campaign.pk, "split": split.to_json()}


def find_campaign(named: object) -> Campaign:
    """By id, or by name."""
    by = {"pk": named} if isinstance(named, int) else {"name": str(named)}
    campaign = Campaign.objects.filter(**by).first()
    if campaign is None:
        names = ", ".join(repr(c.name) for c in Campaign.objects.all()[:5]) or "none"
        raise InvalidRunConfig(f"there is no campaign {named!r}; there are: {names}")
    return campaign


def perform(run: Supervised) -> Outcome:
    """Read the consensus, write the folder, say what is in it."""
    config = run.dir.config()
    campaign = Campaign.objects.select_related("dimension_set").get(pk=config["campaign"])
    split = Split.from_json(config["split"])
    run.dir.log_metrics(0, 3, stage="weighing annotators")
    refresh_posteriors(campaign)
    taken = take(campaign, split)
    if not taken.records:
        raise FormatError(
            f"campaign {campaign.name!r} has no settled triplet yet; nothing can be learned from it"
        )
    run.check()
    run.dir.log_metrics(1, 3, stage="writing")
    dimensions = campaign.dimension_set.to_format()
    counts = count(taken.records, dimensions.keys)
    # A folder here is what an attempt left that died before it was registered.
    shutil.rmtree(run.dir.outputs / "snapshot", ignore_errors=True)
    sha256 = write_snapshot(
        run.dir.outputs / "snapshot", dimensions, taken.records,
        {"split": split.to_json(), "counts": counts}, taken.annotators,
    )  # fmt: skip
    run.dir.log_metrics(2, 3, stage="measuring agreement")
    meta = {
        "campaign": campaign.pk,
        "campaign_name": campaign.name,
        "watermark": taken.watermark,
        "votes": sum(record.votes for record in taken.records),
        "dimension_set": dimensions.to_json(),
        "split": split.to_json(),
        "counts": counts,
        "agreement": agreement(campaign, dimensions.keys),
    }
    run.dir.log_metrics(3, 3, stage="done")
    output = Output(OutputKind.SNAPSHOT, "outputs/snapshot", sha256, meta)
    summary = {key: meta[key] for key in ("campaign_name", "watermark", "counts", "agreement")}
    return Outcome(ExitCode.DONE, outputs=(output,), summary=summary)


def take(campaign: Campaign, split: Split) -> Taken:
    """All settled triplets with the single judgements of their counted votes, under pseudonyms.

    Both as of one moment, so that no vote can fall between two reads.
    """
    with _one_moment():
        return _taken(campaign, split)


@contextmanager
def _one_moment() -> Iterator[None]:
    """All reads see the database as it was at the first of them, and nobody waits for them.

    Inside a transaction of somebody else the level is theirs.
    """
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield
    else:
        # By hand: transactions of Django take SQLite's only write lock at once (settings).
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("COMMIT")


def _taken(campaign: Campaign, split: Split) -> Taken:
    rows = _consensus(campaign)
    judged = judgements_of(campaign)
    records, said = [], []
    watermark = ""
    for _, group in itertools.groupby(rows.iterator(chunk_size=2000), attrgetter("triplet_id")):
        settled = list(group)
        record = _record(settled[0].triplet, settled, split)
        records.append(record)
        heard = judged.get(settled[0].triplet_id, [])
        # Behind an imported label stand the votes that came with it, and no others.
        said.append([each for each in heard if each[0] < 0] if record.source == "import" else heard)
        watermark = max(watermark, *(row.settled_at.isoformat() for row in settled))
    found = attach(records, said, campaign.dimension_set.to_format().keys)
    return Taken(found.records, watermark, found.annotators)


def _consensus(campaign: Campaign) -> QuerySet[Consensus]:
    return (
        Consensus.objects.filter(
            triplet__campaign=campaign,
            triplet__state=Triplet.State.COMPLETE,
            triplet__video_a__withdrawn=False,
        )
        .exclude(triplet__video_b__withdrawn=True)  # nor is a clip alone left out
        .select_related(
            "dimension",
            "triplet__prompt__image",
            "triplet__video_a__generator",
            "triplet__video_b__generator",
        )
        .order_by("triplet_id", "dimension__position")
    )


def _identity(video: Video) -> str:
    generator = video.generator.name if video.generator else ""
    return f"{video.sha256} {generator} {'' if video.seed is None else video.seed}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def _record(triplet: Triplet, settled: Iterable[Consensus], split: Split) -> PreferenceRecord:
    rows = list(settled)
    imported = any(row.source == Consensus.Source.IMPORT for row in rows)
    prompt = triplet.prompt
    return PreferenceRecord(
        pair_id=pair_id(triplet),
        prompt=prompt.text,
        split=split.of(prompt.text),
        video_a=video_ref(triplet.video_a, prompt.sha256),
        video_b=video_ref(triplet.video_b, prompt.sha256) if triplet.video_b else None,
        labels={row.dimension.key: Label(row.label) for row in rows if row.label is not None},
        posterior={
            row.dimension.key: [round(p, DIGITS) for p in row.posterior]
            for row in rows
            if row.posterior is not None
        },
        scores_a={row.dimension.key: row.score_a for row in rows if row.score_a is not None},
        scores_b={row.dimension.key: row.score_b for row in rows if row.score_b is not None},
        votes=max(votes_elsewhere(triplet) if imported else 0, *(row.votes for row in rows)),
        source="import" if imported else "votes",
        image=image_ref(prompt.image),
    )


def votes_elsewhere(triplet: Triplet) -> int:
    """How many votes an imported label had behind it where it came from, if the file said so."""
    row = triplet.source_row or {}
    return 0 if "header" in row else int(row.get("votes", 0))


def video_ref(video: Video, prompt_sha256: str) -> VideoRef:
    """A clip as the trainers know it: below the media root, by content."""
    return VideoRef(
        id=_digest(prompt_sha256, _identity(video)),
        path=video.file,
        sha256=video.sha256,
        fps=video.fps,
        num_frames=video.num_frames,
        generator=video.generator.name if video.generator else "",
        seed=video.seed,
    )


# Counting.


def count(records: Iterable[PreferenceRecord], keys: Iterable[str]) -> dict[str, Any]:
    """Pairs and prompts per split; labels per dimension, `none` where people split."""
    rows = list(records)
    return {
        "pairs": len(rows),
        "prompts": len({row.prompt for row in rows}),
        "splits": {split: _size([row for row in rows if row.split == split]) for split in SPLITS},
        "labels": {key: _labels(rows, key) for key in keys},
        "sources": dict(Counter(row.source for row in rows)),
        "annotators": len({each.annotator for row in rows for each in row.judgements}),
        "judgements": sum(len(row.judgements) for row in rows),
    }


def _size(rows: list[PreferenceRecord]) -> dict[str, int]:
    return {"pairs": len(rows), "prompts": len({row.prompt for row in rows})}


def _labels(rows: list[PreferenceRecord], key: str) -> dict[str, int]:
    """A clip that was scored alone has no label, and nobody split on it."""
    found = Counter(_said(row, key) for row in rows)
    return {word: found[word] for word in (*_LABELS, "none", *(["scored"] * ("scored" in found)))}


def _said(row: PreferenceRecord, key: str) -> str:
    if key in row.labels:
        return row.labels[key].value
    return "scored" if row.video_b is None and key in row.scores_a else "none"


def agreement(campaign: Campaign, keys: Iterable[str]) -> dict[str, dict[str, float | int | None]]:
    """Per dimension over the counted votes: alpha (nominal) and AC1; None where undefined.

    The values are preferences (A, tie, B), or whole scores where clips were scored alone. Who could
    not judge has said nothing about them: `invalid` is missing, as on the dashboards.
    """
    values = _SCORES if campaign.kind == CampaignKind.SINGLE else _PREFERENCES
    votes = Judgement.objects.filter(
        vote__triplet__campaign=campaign,
        vote__triplet__state=Triplet.State.COMPLETE,
        vote__state=Vote.State.COUNTED,
    ).values_list("dimension__key", "vote__triplet_id", "label", "score_a")
    by_dimension: dict[str, list[tuple[int, str]]] = {key: [] for key in keys}
    for key, triplet, label, score in votes.iterator(chunk_size=5000):
        if label != Label.INVALID.value:
            by_dimension[key].append((triplet, label or str(score)))
    return {key: _agreement(rows, values) for key, rows in by_dimension.items()}


def _agreement(
    rows: list[tuple[int, str]], values: tuple[str, ...]
) -> dict[str, float | int | None]:
    from annotation.agreement import gwet_ac1, krippendorff_alpha

    units = {triplet: at for at, triplet in enumerate(sorted({triplet for triplet, _ in rows}))}
    counts = np.zeros((len(units), len(values)), dtype=np.int64)  # [units, values]
    for triplet, value in rows:
        counts[units[triplet], values.index(value)] += 1
    if not units:
        return {"votes": 0, "triplets": 0, "alpha": None, "ac1": None}
    return {
        "votes": len(rows),
        "triplets": len(units),
        "alpha": krippendorff_alpha(counts, "nominal"),
        "ac1": gwet_ac1(counts),
    }
