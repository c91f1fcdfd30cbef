"""A campaign of any size with simulated votes, written by bulk SQL.

    DATABASE_URL=... python -m bench.annotation_data --pairs 182000 --votes 3

The shape is that of the VideoAlign data: about 11 pairs and 7 clips per prompt, 12 generators.
People vote by Bradley-Terry with ties on known strengths; each has an own noise, some lean to one
side, a few answer at random. The clips have no files: what is measured never plays them.

Everything is drawn by numpy and copied into the tables, because the doors of the product would take
hours for half a million votes. So only benchmarks may use this. A column that is not drawn here
gets its model's default.
"""

import argparse
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import django
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GENERATORS: Final = 12
CLIPS_PER_PROMPT: Final = 7
PAIRS_PER_PROMPT: Final = 11
ANNOTATORS: Final = 60
THETA: Final = 1.8
CATEGORIES: Final = ("people", "animals", "nature", "cities", "food", "vehicles", "abstract")
REASONS: Final = ("broken", "unsafe", "prompt_unclear", "identical", "other")
SENTENCE: Final = (
    "a red fox runs through deep snow while the camera follows slowly under golden evening light"
    " beside an old wooden bridge near the quiet river as birds rise over distant blue hills"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make. `done` is the share of the wanted votes that are cast."""

    name: str
    pairs: int
    votes: int = 3
    done: float = 1.0
    annotators: int = ANNOTATORS
    dimension_set: str = "videoalign"
    kind: str = "pairwise"
    days: int = 21
    seed: int = 0

    @property
    def prompts(self) -> int:
        per_prompt = CLIPS_PER_PROMPT if self.kind == "single" else PAIRS_PER_PROMPT
        return -(-self.pairs // per_prompt)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Arrays [pairs]: places in the lists of prompts, generators and clips."""

    prompt: Ints
    generator_a: Ints
    generator_b: Ints
    video_a: Ints
    video_b: Ints


@dataclass(frozen=True, slots=True)
class Votes:
    """Arrays [votes], in the order in which they were cast."""

    pair: Ints
    slot: Ints  # which of the pair's votes
    annotator: Ints
    swap: NDArray[np.bool_]
    value: (
        Ints  # [votes, dimensions]: 0 B, 1 tie, 2 A, or a score from 1; below 0 an invalid reason
    )
    active_ms: Ints
    second: Floats  # since the campaign opened


def draw_pairs(plan: Plan, rng: np.random.Generator) -> tuple[Pairs, Ints]:
    """The pairs, and the generators [prompts, clips] of each prompt's clips."""
    made_by = rng.random((plan.prompts, GENERATORS)).argsort(1)[:, :CLIPS_PER_PROMPT]
    combinations = np.array(np.triu_indices(CLIPS_PER_PROMPT, 1)).T
    number = np.arange(plan.pairs)
    prompt = number % plan.prompts
    if plan.kind == "single":  # each clip once, beside another one that nobody sees
        combinations = np.array(
            [np.arange(CLIPS_PER_PROMPT), np.roll(range(CLIPS_PER_PROMPT), 1)]
        ).T
    first = rng.integers(0, len(combinations), plan.prompts)
    pair = combinations[(first[prompt] + number // plan.prompts) % len(combinations)]
    flipped = (rng.random(plan.pairs) < 0.5) & (plan.kind != "single")
    pair[flipped] = pair[flipped][:, ::-1]
    a, b = pair.T
    video_a, video_b = (prompt * CLIPS_PER_PROMPT + each for each in (a, b))
    return Pairs(prompt, made_by[prompt, a], made_by[prompt, b], video_a, video_b), made_by


def draw_votes(plan: Plan, pairs: Pairs, dimensions: int, rng: np.random.Generator) -> Votes:
    per_pair = min(plan.votes, plan.annotators)
    chosen = np.argpartition(rng.random((plan.pairs, plan.annotators)), per_pair - 1)[:, :per_pair]
    total = plan.pairs * per_pair
    pair = np.repeat(np.arange(plan.pairs), per_pair)
    slot = np.tile(np.arange(per_pair), plan.pairs)
    # Pairs are asked one after the other, and answered a little out of order.
    order = np.argsort(np.arange(total) + rng.normal(0, min(2000, total / 50 + 1), total))
    order = order[: round(plan.done * total)]
    pair, slot, annotator = pair[order], slot[order], chosen.ravel()[order]
    swap = rng.random(len(pair)) < 0.5
    pace = rng.lognormal(np.log(14_000), 0.35, plan.annotators)
    active = pace[annotator] * rng.lognormal(0, 0.45, len(pair))
    span = plan.days * 86_400
    second = np.sort(rng.random(len(pair)) * span)
    draw = _draw_scores if plan.kind == "single" else _draw_labels
    value = draw(plan, pairs, pair, annotator, swap, dimensions, rng)
    return Votes(pair, slot, annotator, swap, value, active.astype(np.int64), second)


def _strengths(plan: Plan, dimensions: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Of generators [generators, dimensions]; a clip's luck [prompts, generators, dimensions]."""
    return (
        np.linspace(0.9, -0.9, GENERATORS)[:, None] + rng.normal(0, 0.15, (GENERATORS, dimensions)),
        rng.normal(0, 0.7, (plan.prompts, GENERATORS, dimensions)),
    )


def _draw_labels(
    plan: Plan,
    pairs: Pairs,
    pair: Ints,
    annotator: Ints,
    swap: NDArray[np.bool_],
    dimensions: int,
    rng: np.random.Generator,
) -> Ints:
    strength, luck = _strengths(plan, dimensions, rng)
    prompt, a, b = pairs.prompt[pair], pairs.generator_a[pair], pairs.generator_b[pair]
    gap = strength[a] - strength[b] + luck[prompt, a] - luck[prompt, b]  # [votes, dimensions]
    lean = np.where(rng.random(plan.annotators) < 0.1, 0.4, 0.0)[annotator, None]
    gap = gap * rng.lognormal(0, 0.2, plan.annotators)[annotator, None] * 1.6
    gap = gap + np.where(swap[:, None], -lean, lean)
    log_theta = np.log(THETA + 0.4 * np.arange(dimensions))
    chance_a, chance_b = (1 / (1 + np.exp(log_theta - side * gap)) for side in (1, -1))
    drawn = rng.random(gap.shape)
    value = np.where(drawn < chance_a, 2, np.where(drawn < chance_a + chance_b, 0, 1))
    at_random = (rng.random(plan.annotators) < 0.05)[annotator, None] & (
        rng.random(gap.shape) < 0.6
    )
    value = np.where(at_random, rng.integers(0, 3, gap.shape), value)
    return _with_invalid(value, rng)


def _draw_scores(
    plan: Plan,
    pairs: Pairs,
    pair: Ints,
    annotator: Ints,
    swap: NDArray[np.bool_],  # noqa: ARG001  a single clip has no side
    dimensions: int,
    rng: np.random.Generator,
) -> Ints:
    strength, luck = _strengths(plan, dimensions, rng)
    prompt, a = pairs.prompt[pair], pairs.generator_a[pair]
    mild = rng.normal(0, 0.4, plan.annotators)[annotator, None]
    opinion = (
        3.2 + strength[a] + luck[prompt, a] + mild + rng.normal(0, 0.6, (len(pair), dimensions))
    )
    return _with_invalid(np.clip(np.rint(opinion), 1, 5).astype(np.int64), rng)


def _with_invalid(value: Ints, rng: np.random.Generator) -> Ints:
    reason = rng.choice(len(REASONS), value.shape, p=[0.35, 0.05, 0.3, 0.2, 0.1])
    return np.where(rng.random(value.shape) < 0.015, -1 - reason, value)


# Into the tables.


def fill(plan: Plan) -> Any:
    """Make the campaign with its people, clips, pairs and votes; the Campaign row."""
    from django.db import transaction

    from annotation.models import Campaign

    rng = np.random.default_rng(plan.seed)
    pairs, made_by = draw_pairs(plan, rng)
    with transaction.atomic():
        _without_foreign_key_checks()
        campaign, dimensions = _campaign(plan)
        people = _people(plan)
        votes = draw_votes(plan, pairs, len(dimensions), rng)
        triplets = _store_pairs(plan, campaign, pairs, made_by, votes, rng)
        _store_votes(plan, campaign, people, dimensions, triplets, votes, rng)
    _analyse()
    return Campaign.objects.get(pk=campaign.pk)


def _campaign(plan: Plan) -> tuple[Any, list[Any]]:
    from annotation.campaigns import create_campaign, ensure_built_in_sets
    from annotation.models import CampaignState

    ensure_built_in_sets()
    campaign = create_campaign(
        plan.name,
        plan.dimension_set,
        votes_wanted=plan.votes,
        kind=plan.kind,
        state=CampaignState.OPEN,
        watch_gate=False,
    )
    return campaign, list(campaign.dimension_set.dimensions.order_by("pk"))


def _people(plan: Plan) -> list[int]:
    from django.contrib.auth.models import Group, User

    from annotation.permissions import ensure_groups

    ensure_groups()
    names = [f"annotator-{number:03}" for number in range(1, plan.annotators + 1)]
    User.objects.bulk_create((User(username=name) for name in names), ignore_conflicts=True)
    found = dict(User.objects.filter(username__in=names).values_list("username", "pk"))
    Group.objects.get(name="annotator").user_set.add(*found.values())
    return [found[name] for name in names]


def _store_pairs(
    plan: Plan, campaign: Any, pairs: Pairs, made_by: Ints, votes: Votes, rng: np.random.Generator
) -> Ints:
    """Prompts, clips, triplets; the primary keys of the triplets."""
    from annotation.models import Campaign, Generator, Prompt, Triplet, Video, prompt_sha256

    makers = [
        Generator.objects.get_or_create(name=f"T2V-{chr(65 + number)}")[0].pk
        for number in range(GENERATORS)
    ]
    texts = list(_texts(plan, rng))
    prompts = _new_keys(Prompt, len(texts))
    copy_rows(
        Prompt,
        id=prompts.tolist(),
        text=texts,
        sha256=[prompt_sha256(text) for text in texts],
        category=rng.choice(CATEGORIES, len(texts)).tolist(),
    )
    rows = made_by.size
    generator = made_by.ravel()
    fps = np.array([24.0, 30.0, 16.0, 8.0])[generator % 4]
    frames = rng.integers(40, 160, GENERATORS)[generator]
    size = np.array([[1280, 720], [720, 480], [832, 480], [512, 512]])[generator % 4]
    ids = uuids(rows, rng)
    copy_rows(
        Video,
        id=ids,
        prompt=np.repeat(prompts, CLIPS_PER_PROMPT).tolist(),
        generator=[makers[each] for each in generator],
        seed=[0] * rows,
        file=[f"videos/none/{each}.mp4" for each in ids],
        sha256=[each * 2 for each in ids],
        fps=fps.tolist(),
        num_frames=frames.tolist(),
        width=size[:, 0].tolist(),
        height=size[:, 1].tolist(),
        duration=(frames / fps).tolist(),
    )
    per_pair = np.bincount(votes.pair, minlength=plan.pairs)
    triplets = _new_keys(Triplet, plan.pairs)
    copy_rows(
        Triplet,
        id=triplets.tolist(),
        campaign=[campaign.pk] * plan.pairs,
        prompt=prompts[pairs.prompt].tolist(),
        video_a=[ids[each] for each in pairs.video_a],
        video_b=[ids[each] for each in pairs.video_b]
        if plan.kind == "pairwise"
        else [None] * plan.pairs,
        need=[plan.votes] * plan.pairs,
        state=np.where(per_pair == plan.votes, "complete", "open").tolist(),
        shuffle=np.arange(plan.pairs).tolist(),
    )
    done = int((per_pair == plan.votes).sum())
    Campaign.objects.filter(pk=campaign.pk).update(triplets_total=plan.pairs, triplets_done=done)
    return triplets


def _texts(plan: Plan, rng: np.random.Generator) -> Iterator[str]:
    lengths = np.clip(rng.lognormal(2.6, 0.5, plan.prompts), 3, 120).astype(int)
    known = SENTENCE.split()
    for number, length in enumerate(lengths.tolist()):
        start = number % len(known)
        words = [known[(start + each) % len(known)] for each in range(length)]
        yield f"{plan.name} {number}: {' '.join(words)}"


def _store_votes(
    plan: Plan,
    campaign: Any,
    people: Sequence[int],
    dimensions: Sequence[Any],
    triplets: Ints,
    votes: Votes,
    rng: np.random.Generator,
) -> None:
    from annotation.models import Cursor, Judgement, Lease, Slot, Vote
    from annotation.shorthand import NOTHING, PAIR_LETTERS, SCORE_LETTERS, letter

    count = len(votes.pair)
    slot_rows = plan.pairs * plan.votes
    slots = _new_keys(Slot, slot_rows)
    holder: list[int | None] = [None] * slot_rows
    place = votes.pair * plan.votes + votes.slot
    persons = np.array(people)[votes.annotator].tolist()
    for index, person in zip(place.tolist(), persons, strict=True):
        holder[index] = person
    copy_rows(
        Slot,
        id=slots.tolist(),
        triplet=np.repeat(triplets, plan.votes).tolist(),
        campaign=[campaign.pk] * slot_rows,
        position=np.repeat(np.arange(plan.pairs), plan.votes).tolist(),
        n=np.tile(np.arange(1, plan.votes + 1), plan.pairs).tolist(),
        state=["open" if each is None else "voted" for each in holder],
        holder=holder,
    )
    opened = _opened(plan)
    times = [opened + timedelta(seconds=each) for each in votes.second.tolist()]
    leases, ids, tabs = (uuids(count, rng) for _ in range(3))
    voted = triplets[votes.pair].tolist()
    copy_rows(
        Lease,
        token=leases,
        annotator=persons,
        slot=slots[place].tolist(),
        triplet=voted,
        swap=votes.swap.tolist(),
        tab=tabs,
        issued_at=times,
    )
    letters = (NOTHING, *SCORE_LETTERS) if plan.kind == "single" else PAIR_LETTERS
    table = np.array([*(letter("invalid", each, None) for each in reversed(REASONS)), *letters])
    said = np.ascontiguousarray(table[votes.value + len(REASONS)]).view(f"U{len(dimensions)}")
    copy_rows(
        Vote,
        id=ids,
        annotator=persons,
        triplet=voted,
        slot=slots[place].tolist(),
        campaign=[campaign.pk] * count,
        lease=leases,
        swap=votes.swap.tolist(),
        submitted_at=times,
        active_ms=votes.active_ms.tolist(),
        timing=[TIMING] * count,
        req_hash=[each * 2 for each in ids],
        state=["counted"] * count,
        said=said.ravel().tolist(),
    )
    number = np.bincount(votes.annotator, minlength=plan.annotators)
    kept = [index for index in range(plan.annotators) if number[index]]
    copy_rows(
        Cursor,
        id=_new_keys(Cursor, len(kept)).tolist(),
        campaign=[campaign.pk] * len(kept),
        annotator=[people[index] for index in kept],
        position=[plan.pairs] * len(kept),
        votes=number[kept].tolist(),
        questions=number[kept].tolist(),
    )
    rows = count * len(dimensions)
    values = votes.value.ravel().tolist()
    labels = {0: "B", 1: "tie", 2: "A"} if plan.kind == "pairwise" else {}
    copy_rows(
        Judgement,
        id=_new_keys(Judgement, rows).tolist(),
        vote=np.repeat(np.array(ids), len(dimensions)).tolist(),
        dimension=[each.pk for each in dimensions] * count,
        label=["invalid" if each < 0 else labels.get(each) for each in values],
        reason=[REASONS[-1 - each] if each < 0 else "" for each in values],
        score_a=[None if each < 0 or labels else each for each in values],
    )
    _store_consensus(plan, dimensions, triplets, votes, opened)


def _store_consensus(
    plan: Plan, dimensions: Sequence[Any], triplets: Ints, votes: Votes, opened: datetime
) -> None:
    from annotation.models import Consensus

    complete = np.flatnonzero(np.bincount(votes.pair, minlength=plan.pairs) == plan.votes)
    label, score, triplet, dimension = [], [], [], []
    for number, each in enumerate(dimensions):
        value = votes.value[:, number]
        invalid = np.bincount(votes.pair, value < 0, plan.pairs)[complete]
        if plan.kind == "single":
            total = np.bincount(votes.pair, np.where(value > 0, value, 0), plan.pairs)[complete]
            score += (total / np.maximum(plan.votes - invalid, 1)).tolist()
            label += np.where(2 * invalid >= plan.votes, "invalid", None).tolist()
        else:
            shares = [np.bincount(votes.pair, value == v, plan.pairs)[complete] for v in range(3)]
            table = np.stack(shares, 1)
            best = table.argmax(1)
            clear = 2 * table.max(1) > table.sum(1)
            words = np.array(["B", "tie", "A"], dtype=object)[best]
            words = np.where(clear, words, None)
            label += np.where(2 * invalid >= plan.votes, "invalid", words).tolist()
            score += [None] * len(complete)
        triplet += triplets[complete].tolist()
        dimension += [each.pk] * len(complete)
    copy_rows(
        Consensus,
        id=_new_keys(Consensus, len(label)).tolist(),
        triplet=triplet,
        dimension=dimension,
        label=label,
        score_a=score,
        source=["votes"] * len(label),
        votes=[plan.votes] * len(label),
        settled_at=[opened] * len(label),
    )


# What the voting page sends per vote is of about this size (ANNOTATION D7).
TIMING: Final = json.dumps(
    {
        "assigned": 0, "ready": 412, "first_play": 450, "submitted": 14210, "active_ms": 13800,
        "plays": 2, "seeks": 1, "steps": 4, "coverage": {"left": 1.0, "right": 1.0},
        "answers": {"VQ": 9120, "MQ": 10840, "TA": 12950}, "input": "key", "ratio": 2,
    }
)  # fmt: skip


def _opened(plan: Plan) -> datetime:
    from django.utils import timezone

    return timezone.now() - timedelta(days=plan.days)


def uuids(count: int, rng: np.random.Generator) -> list[str]:
    """Version 4, as 32 hexadecimal digits, which both databases take."""
    raw = rng.integers(0, 256, (count, 16), dtype=np.uint8)
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    digits = raw.tobytes().hex()
    return [digits[start : start + 32] for start in range(0, 32 * count, 32)]


def _new_keys(model: Any, count: int) -> Ints:
    from django.db.models import Max

    last = model.objects.aggregate(last=Max("pk"))["last"] or 0
    return np.arange(last + 1, last + 1 + count)


def copy_rows(model: Any, **given: Sequence[Any]) -> None:
    """Insert rows column by column; a column that is not given gets its model's default."""
    from django.db import connection

    fields = model._meta.concrete_fields
    count = len(next(iter(given.values())))
    columns = [given.get(field.name) or [_default(field)] * count for field in fields]
    names = ", ".join(f'"{field.column}"' for field in fields)
    table = model._meta.db_table
    rows = zip(*columns, strict=True)
    if connection.vendor == "postgresql":
        _copy(f"COPY {table} ({names}) FROM STDIN", rows)
        _restart_sequence(model)
    else:
        marks = ", ".join(["%s"] * len(fields))
        rows = ([_plain(cell) for cell in row] for row in rows)
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(rows))  # noqa: S608


def _plain(cell: Any) -> Any:
    """SQLite keeps moments as text without a zone."""
    from django.db import connection

    if isinstance(cell, datetime):
        return connection.ops.adapt_datetimefield_value(cell)
    return cell


def _copy(statement: str, rows: Iterable[Sequence[Any]]) -> None:
    from django.db import connection

    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _default(field: Any) -> Any:
    value = field.get_default()
    if isinstance(value, dict | list):
        return json.dumps(value)
    return value.hex if isinstance(value, uuid.UUID) else value


def _restart_sequence(model: Any) -> None:
    """Keys were given by hand: the next one that the database gives must be free."""
    from django.core.management.color import no_style
    from django.db import connection

    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [model]):
            cursor.execute(statement)


def _without_foreign_key_checks() -> None:
    """Half a million rows are checked against their parents one by one otherwise."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('is_superuser')")
            if cursor.fetchone()[0] == "on":
                cursor.execute("SET LOCAL session_replication_role = replica")


def _analyse() -> None:
    """What a server does by itself minutes after such a load."""
    from django.db import connection

    free = connection.vendor == "postgresql" and not connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if free else "ANALYZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", default="bench")
    parser.add_argument("--pairs", type=int, default=182_000)
    parser.add_argument("--votes", type=int, default=3, help="wanted per pair")
    parser.add_argument("--done", type=float, default=1.0, help="share of the votes that are cast")
    parser.add_argument("--annotators", type=int, default=ANNOTATORS)
    parser.add_argument("--dimension-set", default="videoalign")
    parser.add_argument("--kind", choices=["pairwise", "single"], default="pairwise")
    parser.add_argument("--days", type=int, default=21)
    parser.add_argument("--seed", type=int, default=0)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    start = time.perf_counter()
    campaign = fill(Plan(**vars(parser.parse_args())))
    print(
        f"campaign {campaign.pk}: {campaign.triplets_total} pairs,"
        f" {campaign.triplets_done} complete, in {time.perf_counter() - start:.1f} s"
    )


if __name__ == "__main__":
    main()
