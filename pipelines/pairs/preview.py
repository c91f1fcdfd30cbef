"""The preview of a set of pairs before a run is trained on it: pages place it, doors send it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User

from formats.records import PairRecord, VideoRef
from pipelines.pairs.rules import NO_LABEL, TIE, Refusal
from pipelines.pairs.sets import Media, Playable, media_of
from pipelines.run_pages import cell

_UNDECIDED: Final = (TIE, NO_LABEL)
_REWARDS: Final = ("chosen", "rejected", "difference")
_PEOPLE: Final = ("people for it",)


@dataclass(frozen=True, slots=True)
class Side:
    """One clip of a card. `clip` is None where it cannot be played any more."""

    label: str
    badge: str
    clip: Playable | None
    value: str  # its reward in [0, 1]
    about: str


@dataclass(frozen=True, slots=True)
class Card:
    """Two clips side by side. `rows` has a dimension each: its name, then what `columns` say."""

    prompt: str
    image: str
    sides: tuple[Side, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    words: str
    warning: str = ""


def pair_cards(pairs: Sequence[PairRecord], user: User) -> list[Card]:
    media = media_of([(each.chosen, each.rejected, each.image) for each in pairs], user)
    return [_pair_card(each, media) for each in pairs]


def refusal_cards(refusals: Sequence[Refusal], user: User) -> list[Card]:
    media = media_of([(each.chosen, each.rejected, each.image) for each in refusals], user)
    return [_refusal_card(each, media) for each in refusals]


def _pair_card(pair: PairRecord, media: Media) -> Card:
    sides = (
        _side("Chosen", "badge-ok", pair.chosen, media, cell(pair.reward_w)),
        _side("Rejected", "", pair.rejected, media, cell(pair.reward_l)),
    )
    by = "people" if pair.source == "votes" else "rewards"
    against = pair.reward_w <= pair.reward_l
    return Card(
        prompt=pair.prompt,
        image=media.image(pair.image),
        sides=sides,
        columns=(*(_REWARDS if pair.rewards_w else ()), *(_PEOPLE if pair.shares_w else ())),
        rows=tuple(_rows(pair)),
        words=f"gap {cell(pair.gap)}, by {by}",
        warning="the rewards contradict the people" if against else "",
    )


def _rows(pair: PairRecord) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (key, (*_rewards(pair, key), *_share(pair, key)))
        for key in sorted({*pair.rewards_w, *pair.shares_w})
    ]


def _rewards(pair: PairRecord, key: str) -> tuple[str, ...]:
    better, worse = pair.rewards_w.get(key), pair.rewards_l.get(key)
    if better is None or worse is None:
        return ("–",) * len(_REWARDS) if pair.rewards_w else ()
    return (f"{better:.2f}", f"{worse:.2f}", f"{better - worse:+.2f}")


def _share(pair: PairRecord, key: str) -> tuple[str, ...]:
    share = pair.shares_w.get(key)
    if share is None:
        return ("–",) if pair.shares_w else ()
    return (f"{100 * share:.0f}\N{NO-BREAK SPACE}%",)


def _refusal_card(refusal: Refusal, media: Media) -> Card:
    undecided = refusal.fault.reason in _UNDECIDED
    labels = ("A", "B") if undecided else ("Better", "Worse")
    by = "people" if refusal.source == "votes" else "rewards"
    instead = "; a narrower pair was made instead" if refusal.replaced else ""
    return Card(
        prompt=refusal.prompt,
        image=media.image(refusal.image),
        sides=tuple(
            _side(f"{label}, by {by}" if not undecided else label, "", video, media, "")
            for label, video in zip(labels, (refusal.chosen, refusal.rejected), strict=True)
            if video is not None
        ),
        columns=(),
        rows=(),
        words=f"{refusal.fault.reason}{instead}",
        warning=refusal.fault.detail,
    )


def _side(label: str, badge: str, video: VideoRef, media: Media, value: str) -> Side:
    seed = "" if video.seed is None else f", seed {video.seed}"
    name = video.generator or "unknown generator"
    about = f"{name}{seed}, {video.num_frames} frames at {video.fps:g} a second"
    return Side(label, badge, media.clip(video), value, about)


# The same for programs.


def pair_json(pair: PairRecord, media: Media) -> dict[str, Any]:
    """The record as it is trained on, with addresses at which its clips can be watched now."""
    return {
        **pair.to_json(),
        "chosen_url": media.url(pair.chosen),
        "rejected_url": media.url(pair.rejected),
        "image_url": media.image(pair.image),
    }


def refusal_json(refusal: Refusal, media: Media) -> dict[str, Any]:
    return {
        "reason": refusal.fault.reason,
        "detail": refusal.fault.detail,
        "replaced": refusal.replaced,
        "source": refusal.source,
        "prompt": refusal.prompt,
        "chosen": None if refusal.chosen is None else refusal.chosen.id,
        "rejected": None if refusal.rejected is None else refusal.rejected.id,
        "chosen_url": media.url(refusal.chosen),
        "rejected_url": media.url(refusal.rejected),
    }
