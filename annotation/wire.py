"""The JSON of the REST API: from bodies to ballots, from assignments to bodies.

What an annotator gets here names no generator, no file and no hash (RELIABILITY M7).
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeGuard, TypeVar

from django.contrib.auth.models import User

from annotation.assigning import Assignment, Empty
from annotation.errors import BadVote, Unreadable
from annotation.media import signed_url
from annotation.models import Campaign, Dimension, Judgement, Prompt, Video, Vote
from annotation.voting import Answer, Ballot
from formats.labels import Label

_MAX_TIMING: Final = 64 * 1024  # bytes of JSON
Thing = TypeVar("Thing")
_ANSWER_KEYS: Final = {"label", "reason", "score_left", "score_right"}


def read_uuid(body: Mapping[str, Any], name: str) -> uuid.UUID:
    try:
        return uuid.UUID(body[name])
    except KeyError:
        raise Unreadable(f"The request lacks {name!r}.") from None
    except (ValueError, AttributeError, TypeError):
        raise Unreadable(f"{name!r} must be a UUID, got {str(body[name])[:80]!r}.") from None


def read_ballot(body: Mapping[str, Any]) -> Ballot:
    """The vote in a request body; BadVote or Unreadable where it is not one."""
    judgements = body.get("judgements")
    if not isinstance(judgements, Mapping):
        raise Unreadable("The request lacks 'judgements': an object with one entry per dimension.")
    timing = body.get("timing") or {}
    if not isinstance(timing, Mapping) or len(json.dumps(timing)) > _MAX_TIMING:
        raise BadVote("'timing' must be an object of at most 64 kB.")
    active = timing.get("active_ms")
    return Ballot(
        left_video=str(read_uuid(body, "left_video")),
        right_video=str(read_uuid(body, "right_video")),
        answers={key: _read_answer(key, value) for key, value in judgements.items()},
        timing=timing,
        active_ms=int(active) if _is_number(active) and 0 <= active < 2**31 else None,
    )


def _read_answer(key: str, value: Any) -> Answer:
    if not isinstance(value, Mapping) or not isinstance(value.get("label"), str):
        raise BadVote(f"The judgement on {key} must be an object with a 'label'.")
    unknown = sorted(set(value) - _ANSWER_KEYS)
    if unknown:
        raise BadVote(f"The judgement on {key} has an unknown entry {unknown[0]!r}.")
    return Answer(
        label=value["label"],
        reason=str(value.get("reason") or ""),
        score_left=_read_score(key, value.get("score_left")),
        score_right=_read_score(key, value.get("score_right")),
    )


def _read_score(key: str, value: Any) -> int | None:
    if value is None:
        return None
    if not _is_number(value) or value != int(value):
        raise BadVote(f"A score on {key} must be a whole number from 1 to 5, got {value!r}.")
    return int(value)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def campaign_json(campaign: Campaign, mine: int) -> dict[str, Any]:
    return {
        "id": campaign.pk,
        "name": campaign.name,
        "state": campaign.state,
        "votes_wanted": campaign.votes_wanted,
        "done": campaign.triplets_done,
        "total": campaign.triplets_total,
        "mine": mine,
    }


def empty_json(empty: Empty) -> dict[str, Any]:
    return {"empty": True, "reason": empty.reason, "retry_after": empty.retry_after}


def assignment_json(
    assignment: Assignment, campaign: Campaign, dimensions: Iterable[Dimension], user: User
) -> dict[str, Any]:
    lease = assignment.lease
    left, right = _sides(lease.triplet.video_a, lease.triplet.video_b, swap=lease.swap)
    return {
        "lease": str(lease.token),
        "expires_at": assignment.expires_at.isoformat(),
        "campaign": campaign.pk,
        "prompt": _prompt(lease.triplet.prompt),
        "left": _video(left, user),
        "right": _video(right, user),
        "dimensions": dimensions_json(dimensions),
        "per_video_scores": campaign.per_video_scores,
        "watch_gate": campaign.watch_gate,
        "progress": {
            "mine": assignment.mine,
            "done": campaign.triplets_done,
            "total": campaign.triplets_total,
        },
    }


def dimensions_json(dimensions: Iterable[Dimension]) -> list[dict[str, Any]]:
    return [
        {
            "key": each.key,
            "title": each.title,
            "question": each.question,
            "guideline": each.guideline,
        }
        for each in dimensions
    ]


def vote_json(vote: Vote, user: User) -> dict[str, Any]:
    """An own vote, as it looked on the screen, with what showing and changing it needs."""
    left, right = _sides(vote.triplet.video_a, vote.triplet.video_b, swap=vote.swap)
    return {
        "vote": str(vote.pk),
        "lease": str(vote.lease_id),
        "revision": vote.revision,
        "state": vote.state,
        "submitted_at": vote.submitted_at.isoformat(),
        "prompt": _prompt(vote.triplet.prompt),
        "left": _video(left, user),
        "right": _video(right, user),
        "judgements": {
            each.dimension.key: _answer(each, swap=vote.swap) for each in vote.judgements.all()
        },
    }


def _answer(judgement: Judgement, *, swap: bool) -> dict[str, Any]:
    side = {Label.A: "right", Label.B: "left"} if swap else {Label.A: "left", Label.B: "right"}
    label = Label(judgement.label)
    left, right = _sides(judgement.score_a, judgement.score_b, swap=swap)
    return {
        "label": side.get(label, label.value),
        "reason": judgement.reason,
        "score_left": left,
        "score_right": right,
    }


def _sides(a: Thing, b: Thing, *, swap: bool) -> tuple[Thing, Thing]:
    return (b, a) if swap else (a, b)


def _prompt(prompt: Prompt) -> dict[str, Any]:
    return {"text": prompt.text, "translations": prompt.translations}


def _video(video: Video, user: User) -> dict[str, Any]:
    return {
        "id": str(video.pk),
        "url": signed_url(video.pk, user),
        "fps": video.fps,
        "num_frames": video.num_frames,
        "width": video.width,
        "height": video.height,
        "duration": video.duration,
    }
