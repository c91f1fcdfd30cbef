"""Snapshots that travel: out in one format, in as a campaign, and out again.

The snapshot of a world is made of records alone, as one of another site would be; only its clips
are here. What a format holds is read from the catalogue of the exports, so that a trip is expected
to keep exactly that.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from annotation.campaigns import store_dimension_set
from annotation.imports.reading_in import ImportReport, Target, import_rows
from annotation.imports.sources import opened
from annotation.media.keeping import poster_key, shown_key
from annotation.media.storage import media_storage
from annotation.models import Campaign, Generator, Prompt, ReferenceImage, Video, prompt_sha256
from formats.dimensions import Dimension, DimensionSet
from formats.labels import Label
from formats.records import ImageRef, Opinion, PreferenceRecord, VideoRef
from formats.snapshot import read_snapshot, write_snapshot
from pipelines.exports.exporting import FORMATS, Export, Media, export
from pipelines.exports.facts import Fact
from pipelines.models import Artifact
from pipelines.snapshots import _digest, take
from pipelines.splitting import Split

SPLIT = Split.from_json({})
SALT = b"a salt of the tests"
_CONTENTS: dict[str, bytes] = {}  # what stands for a clip in its file


@dataclass(frozen=True)
class World:
    """A snapshot, and the folder of its clips."""

    dimensions: DimensionSet
    records: list[PreferenceRecord]
    annotators: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def single(self) -> bool:
        return self.records[0].video_b is None

    def written(self, folder: Path) -> Artifact:
        sha256 = write_snapshot(folder, self.dimensions, self.records, {}, self.annotators)
        return Artifact(pk=1, kind="snapshot", sha256=sha256, path=str(folder), meta={})

    def export(self, name: str, folder: Path, how: Media | None = None) -> Export:
        """This world in a format, without any triplet of it in the database."""
        artifact = self.written(folder / "snapshot")
        target = folder / f"out{FORMATS[name].suffix}"
        return export(artifact, name, target, source=folder / "snapshot", how=how, salt=SALT)


def bring(given: Path, world: World, campaign: str, clips: Path | None = None) -> ImportReport:
    store_dimension_set(world.dimensions)
    kind = "single" if world.single else "pairwise"
    with opened(given, clips=clips) as source:
        return import_rows(source, Target(campaign, world.dimensions.name, {"kind": kind}))


def snapshot_of(campaign: str, dimensions: DimensionSet) -> World:
    """What a snapshot of this campaign would hold."""
    taken = take(Campaign.objects.get(name=campaign), SPLIT)
    return World(dimensions, taken.records, taken.annotators)


# What is drawn.

KEYS = st.sampled_from(
    ["VQ", "MQ", "TA", "A_x", "votes", "Overall", "label_VQ", "category", "priority", "seed_A"]
)
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30
)
SAID = TEXT.filter(lambda text: bool(text.strip()))
PLAIN = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
LABELS = st.sampled_from([*Label, None])
SCORES = st.none() | st.floats(1, 5, allow_nan=False)
SEEDS = st.none() | st.integers(0, 2**63 - 1) | st.integers(-(2**63) + 1, -2)
CLIPS = st.tuples(
    st.none() | PLAIN, SEEDS, st.sampled_from([8.0, 23.976023976023978, 24.0, 29.97]),
    st.integers(1, 200),
)  # fmt: skip


@st.composite
def posteriors(draw: Any) -> list[float]:
    a, tie = sorted([draw(st.integers(0, 10**6)), draw(st.integers(0, 10**6))])
    return [a / 10**6, (tie - a) / 10**6, (10**6 - tie) / 10**6]


@st.composite
def worlds(draw: Any) -> World:
    """Pairs, or clips scored alone, on one to three dimensions of any name."""
    keys = draw(st.lists(KEYS, min_size=1, max_size=3, unique=True))
    single = draw(st.booleans())
    one = _alone(keys) if single else _pairs(keys)
    drawn = draw(st.lists(one, min_size=1, max_size=4))
    prompts = draw(st.lists(SAID, min_size=1, max_size=3))
    names = draw(st.lists(PLAIN, min_size=len(drawn), max_size=len(drawn), unique=True))
    records = [
        _record(number, name, prompts[number % len(prompts)], each)
        for number, (name, each) in enumerate(zip(names, drawn, strict=True))
    ]
    return World(_set_of(keys), records)


def named_world(keys: list[str], pairs: int = 3) -> World:
    """A world that is not drawn: labels, ties, invalid and splits by turns, two votes a pair."""
    words = [Label.A, Label.TIE, None, Label.B, Label.INVALID]
    records = []
    for number in range(pairs):
        said = {
            key: (words[(number + n) % 5], [0.5, 0.25, 0.25], 4.25, None)
            for n, key in enumerate(keys)
        }
        votes = [dict.fromkeys(keys, Label.A), dict.fromkeys(keys, Label.TIE)]
        clips = [("wan", 7 + number, 8.0, 16), (None, None, 24.0, 48)]
        drawn = {"clips": clips, "said": said, "votes": votes, "count": 0, "image": False}
        records.append(_record(number, f"pair-{number}", f"prompt {number}", drawn))
    return World(_set_of(keys), records)


def _set_of(keys: list[str]) -> DimensionSet:
    name = "drawn-" + hashlib.sha256(repr(keys).encode()).hexdigest()[:12]
    dimensions = (Dimension(key, f"About {key}", "Which?", sees_prompt=False) for key in keys)
    return DimensionSet(name, "Drawn", tuple(dimensions))


def _pairs(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    per_key = {key: st.tuples(LABELS, st.none() | posteriors(), SCORES, SCORES) for key in keys}
    votes = st.lists(
        st.dictionaries(st.sampled_from(keys), st.sampled_from(list(Label)), min_size=1),
        max_size=3,
    )
    return st.fixed_dictionaries(
        {"clips": st.tuples(CLIPS, CLIPS), "said": st.fixed_dictionaries(per_key), "votes": votes,
         "count": st.integers(0, 9), "image": st.booleans()}
    )  # fmt: skip


def _alone(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Each dimension has its score: a CSV of single clips knows no other."""
    per_key = {key: st.tuples(st.none(), st.none(), st.floats(1, 5), st.none()) for key in keys}
    return st.fixed_dictionaries(
        {"clips": st.tuples(CLIPS), "said": st.fixed_dictionaries(per_key),
         "votes": st.just([]), "count": st.integers(0, 9), "image": st.booleans()}
    )  # fmt: skip


def _record(number: int, name: str, prompt: str, drawn: dict[str, Any]) -> PreferenceRecord:
    image = _image(number) if drawn["image"] else None
    clips = [
        _clip(f"{number}{side}", *each) for side, each in zip("ab", drawn["clips"], strict=False)
    ]
    said: dict[str, tuple[Any, ...]] = drawn["said"]
    judgements = [
        Opinion(f"annotator-{person}", key, label)
        for person, vote in enumerate(drawn["votes"])
        for key, label in vote.items()
    ]
    return identified(
        PreferenceRecord(
            pair_id=name,
            prompt=prompt,
            split=SPLIT.of(prompt),
            video_a=clips[0],
            video_b=clips[1] if len(clips) > 1 else None,
            labels={key: each[0] for key, each in said.items() if each[0]},
            posterior={key: each[1] for key, each in said.items() if each[1]},
            scores_a={key: each[2] for key, each in said.items() if each[2] is not None},
            scores_b={key: each[3] for key, each in said.items() if each[3] is not None},
            votes=len(drawn["votes"]) or drawn["count"],
            judgements=judgements,
            image=image,
        )
    )


def _sha256(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _clip(name: str, generator: str | None, seed: int | None, fps: float, frames: int) -> VideoRef:
    sha256 = hashlib.sha256(_bytes_of(name, fps, frames)).hexdigest()
    _CONTENTS[sha256] = _bytes_of(name, fps, frames)
    path = f"videos/{sha256[:2]}/{sha256}.mp4"
    return VideoRef("", path, sha256, fps, frames, generator or "", seed)


def _bytes_of(name: str, fps: float, frames: int) -> bytes:
    return f"clip {name} {fps} {frames}".encode()


def _image(number: int) -> ImageRef:
    sha256 = _sha256("image", number)
    return ImageRef(f"images/{sha256[:2]}/{sha256}", sha256)


def identified(record: PreferenceRecord) -> PreferenceRecord:
    """With the ids that follow from what is in it."""
    prompt = prompt_sha256(record.prompt, record.image.sha256 if record.image else "")

    def of(clip: VideoRef) -> VideoRef:
        seed = "" if clip.seed is None else clip.seed
        return replace(clip, id=_digest(prompt, f"{clip.sha256} {clip.generator} {seed}"))

    video_b = of(record.video_b) if record.video_b else None
    return replace(record, video_a=of(record.video_a), video_b=video_b)


def settle_clips(world: World) -> None:
    """Rows for its clips and pictures: they are here already, their files are not needed."""
    for record in world.records:
        image = record.image and _settle_image(record.image)
        prompt = Prompt.objects.for_text(record.prompt, image)
        for clip in (record.video_a, record.video_b):
            if clip is not None:
                _settle_clip(prompt, clip)


def _settle_image(image: ImageRef) -> ReferenceImage:
    return ReferenceImage.objects.get_or_create(
        sha256=image.sha256, defaults={"file": image.path, "width": 8, "height": 8}
    )[0]


def _settle_clip(prompt: Prompt, clip: VideoRef) -> None:
    generator = None
    if clip.generator:
        generator = Generator.objects.get_or_create(name=clip.generator)[0]
    Video.objects.get_or_create(
        prompt=prompt, sha256=clip.sha256, generator=generator, seed=clip.seed,
        defaults={
            "file": clip.path, "fps": clip.fps, "num_frames": clip.num_frames, "width": 8,
            "height": 8, "duration": clip.num_frames / clip.fps, "phash": "0" * 16,
        },
    )  # fmt: skip


def lay_out(world: World, folder: Path) -> Path:
    """The files of the clips, for formats that name clips by their path alone."""
    store = media_storage()
    for record in world.records:
        for clip in (record.video_a, record.video_b):
            if clip is not None:
                file = folder / clip.path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(_CONTENTS[clip.sha256])
                store.put(file, shown_key(clip.sha256))
                store.put(file, poster_key(clip.sha256))
    return folder


# What a format keeps of a world.


def kept_by(name: str, world: World) -> World:
    """The world as a trip through this format leaves it; the catalogue of exports says how."""
    held = FORMATS[name].holds | FORMATS[name].beside
    if world.single and name == "videoalign":  # there its columns are ours, and name the generator
        held |= {Fact.GENERATOR}
    records = [_kept(record, held, world.dimensions.keys) for record in world.records]
    if Fact.SINGLE not in held:
        records = [record for record in records if record.video_b is not None]
    if name == "votes":  # a pair without a vote has no line
        records = [replace(each, votes=_voters(each)) for each in records if each.judgements]
    return World(world.dimensions, records)


def _voters(record: PreferenceRecord) -> int:
    return len({each.annotator for each in record.judgements})


def _kept(record: PreferenceRecord, held: frozenset[Fact], keys: Iterable[str]) -> PreferenceRecord:
    gone: dict[Fact, Callable[[PreferenceRecord], PreferenceRecord]] = {
        Fact.POSTERIOR: lambda each: replace(each, posterior={}),
        Fact.SCORES: lambda each: replace(each, scores_a={}, scores_b={}),
        Fact.VOTES: lambda each: replace(each, votes=0),
        Fact.JUDGEMENTS: lambda each: replace(each, judgements=[]),
        Fact.IMAGE: lambda each: replace(each, image=None),
        Fact.GENERATOR: lambda each: _clips(each, generator=""),
        Fact.SEED: lambda each: _clips(each, seed=None),
        Fact.UNDECIDED: lambda each: _masked(each, keys),
    }
    for fact, drop in gone.items():
        if fact not in held:
            record = drop(record)
    # From now on it is an import, whatever it was: that is what `source` says.
    return identified(replace(record, source="import"))


def _clips(record: PreferenceRecord, **change: Any) -> PreferenceRecord:
    video_b = replace(record.video_b, **change) if record.video_b else None
    return replace(record, video_a=replace(record.video_a, **change), video_b=video_b)


def _masked(record: PreferenceRecord, keys: Iterable[str]) -> PreferenceRecord:
    """Where people split, a CSV says `invalid`."""
    if record.video_b is None:
        return record
    return replace(record, labels={key: record.labels.get(key, Label.INVALID) for key in keys})


# Two worlds are one if all but the names of strangers is the same.


def plain(world: World) -> list[dict[str, Any]]:
    """The records in order, people named by what they said."""
    said: dict[str, list[str]] = defaultdict(list)
    for record in world.records:
        for each in record.judgements:
            said[each.annotator].append(f"{record.pair_id} {each.dimension} {each.label}")
    names = {person: _sha256(*sorted(lines))[:12] for person, lines in said.items()}
    rows = []
    for record in sorted(world.records, key=lambda each: each.pair_id):
        judged = sorted((names[a], key, str(label)) for a, key, label in record.judgements)
        rows.append({**record.to_json(), "judgements": judged})
    return rows


def read_world(folder: Path) -> World:
    found = read_snapshot(folder)
    return World(found.dimensions, found.records, found.annotators)
