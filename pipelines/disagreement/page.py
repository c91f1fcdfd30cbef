"""Triplets on which people and a reward model disagree: cards for leads, rows for doors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.contrib.auth.models import User

from annotation.media.keeping import image_url, poster_url, signed_url
from annotation.models import Triplet, Video
from pipelines.disagreement.ranking import Agreement, Clash, Compared, Filters
from pipelines.pairs.preview import Card, Side
from pipelines.pairs.sets import Playable
from pipelines.splitting import SPLITS

_SPACE: Final = "\N{NO-BREAK SPACE}"
_COLUMNS: Final = ("people", "model", "nats")
_CLASHES: Final = {
    Clash.OPPOSITE: "two winners",
    Clash.MODEL_DECIDES: "people: same",
    Clash.PEOPLE_DECIDE: "model: same",
}


@dataclass(frozen=True, slots=True)
class Word:
    """One dimension of a triplet: chances of A, tie and B as people and as the model have them."""

    dimension: str
    people: tuple[float, float, float]
    model: tuple[float, float, float]
    difference: float  # of the rewards, A minus B
    surprise: float  # nats
    agreement: str
    clash: str
    counts: bool  # the filters leave this entry, so it is in the total


@dataclass(frozen=True, slots=True)
class Found:
    """One triplet of the ranking. `surprise` is the sum over the entries that count."""

    triplet: int
    rank: int
    surprise: float
    split: str
    words: tuple[Word, ...]


def page_of(compared: Compared, filters: Filters, start: int, limit: int) -> list[Found]:
    """A part of the ranking, from `start` (0 for the first)."""
    rows, totals = compared.ranked(filters)
    kept = compared.chosen(filters)
    return [
        _found(compared, int(row), kept[row], start + n + 1, float(total))
        for n, (row, total) in enumerate(
            zip(rows[start : start + limit], totals[start : start + limit], strict=True)
        )
    ]


def _found(compared: Compared, row: int, kept: Any, rank: int, total: float) -> Found:
    agreements, clashes = tuple(Agreement), tuple(Clash)
    words = [
        Word(
            dimension=key,
            people=tuple(compared.people[row, n].tolist()),
            model=tuple(compared.model[row, n].tolist()),
            difference=float(compared.difference[row, n]),
            surprise=float(compared.surprise[row, n]),
            agreement=agreements[compared.agreement[row, n]].value,
            clash=clashes[compared.clash[row, n]].value,
            counts=bool(kept[n]),
        )
        for n, key in enumerate(compared.keys)
        if compared.surprise[row, n] == compared.surprise[row, n]  # people said something
    ]
    split = int(compared.split[row])
    return Found(
        triplet=int(compared.triplet[row]),
        rank=rank,
        surprise=total,
        split=SPLITS[split] if split >= 0 else "",
        words=tuple(words),
    )


@dataclass(frozen=True, slots=True)
class Picked:
    """A card with the number by which it can be chosen."""

    triplet: int
    rank: int
    card: Card


def cards_of(found: Sequence[Found], user: User) -> list[Picked]:
    rows = _rows(found)
    return [
        Picked(each.triplet, each.rank, _card(each, rows[each.triplet], user))
        for each in found
        if each.triplet in rows
    ]


def rows_of(found: Sequence[Found], user: User) -> list[dict[str, Any]]:
    """The same for programs, with addresses at which the clips can be watched."""
    rows = _rows(found)
    return [
        {
            **asdict(each),
            "prompt": rows[each.triplet].prompt.text,
            "a_url": _url(rows[each.triplet].video_a, user),
            "b_url": _url(rows[each.triplet].video_b, user),
        }
        for each in found
        if each.triplet in rows
    ]


def _rows(found: Sequence[Found]) -> Mapping[int, Triplet]:
    wanted = Triplet.objects.select_related(
        "prompt__image", "video_a__generator", "video_b__generator"
    )
    return wanted.in_bulk([each.triplet for each in found])


def _card(found: Found, triplet: Triplet, user: User) -> Card:
    image = triplet.prompt.image
    clashes = {_CLASHES.get(Clash(word.clash), "") for word in found.words if word.counts}
    return Card(
        prompt=triplet.prompt.text,
        image=image_url(image.pk, user) if image is not None else "",
        sides=(
            _side("A", "", triplet.video_a, user),
            _side("B", "", triplet.video_b, user),
        ),
        columns=_COLUMNS,
        rows=tuple((word.dimension, _cells(word)) for word in found.words),
        words=f"{found.surprise:.2f} nats" + (f", {found.split}" if found.split else ""),
        warning=", ".join(sorted(clashes - {""})),
    )


def _cells(word: Word) -> tuple[str, ...]:
    nats = f"{word.surprise:.2f}"
    return _chances(word.people), _chances(word.model), nats if word.counts else f"({nats})"


def _chances(chances: Sequence[float]) -> str:
    """A / tie / B in per cent."""
    return f"{_SPACE}/{_SPACE}".join(f"{100 * each:.0f}" for each in chances)


def _side(label: str, badge: str, video: Video | None, user: User) -> Side:
    if video is None or video.withdrawn:
        return Side(label, badge, None, "", "")
    name = video.generator.name if video.generator else "unknown generator"
    seed = "" if video.seed is None else f", seed {video.seed}"
    clip = Playable(signed_url(video.pk, user), poster_url(video.pk, user))
    return Side(label, badge, clip, "", f"{name}{seed}")


def _url(video: Video | None, user: User) -> str:
    return "" if video is None or video.withdrawn else signed_url(video.pk, user)
