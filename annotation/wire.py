"""The JSON of the REST API: from bodies to ballots, from questions to bodies.

What an annotator gets here names no generator, no file and no hash (RELIABILITY M7), and a probe
goes through the same lines as a pair of the queue (ANNOTATION D8).
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeGuard

from django.contrib.auth.models import User
from django.utils.translation import gettext

from annotation.assigning import Offer, Wish
from annotation.ballots import Answer, Ballot, Said
from annotation.cursors import active_today
from annotation.errors import BadVote, Unreadable
from annotation.gates import daily_ms
from annotation.media.flashes import SAFE
from annotation.media.media_urls import image_url, poster_url, signed_url
from annotation.models import Campaign, CampaignKind, Dimension, Prompt, Video
from annotation.offers import Assignment, Empty, OwnAnswer, Receipt, StageProgress
from annotation.queue import Desk
from formats.labels import Label

_MAX_TIMING: Final = 64 * 1024  # bytes of JSON
_MAX_REMARK: Final = 2000
_MINUTE_MS: Final = 60_000
_ANSWER_KEYS: Final = {"label", "reason", "score_left", "score_right"}


# What comes in.


def read_uuid(body: Mapping[str, Any], name: str) -> uuid.UUID:
    try:
        return uuid.UUID(body[name])
    except KeyError:
        raise Unreadable(f"The request lacks {name!r}.") from None
    except (ValueError, AttributeError, TypeError):
        raise Unreadable(f"{name!r} must be a UUID, got {str(body[name])[:80]!r}.") from None


def read_wish(body: Mapping[str, Any]) -> Wish:
    width = body.get("screen_width")
    if width is not None and (not _is_number(width) or width < 0):
        raise Unreadable("'screen_width' must be the CSS pixels in which one clip is seen.")
    return Wish(
        tab=read_uuid(body, "tab"),
        prefetch=body.get("prefetch") is True,
        screen_width=None if width is None else int(width),
    )


def read_ballot(body: Mapping[str, Any]) -> Ballot:
    """The vote in a request body; BadVote or Unreadable where it is not one."""
    judgements = body.get("judgements")
    if not isinstance(judgements, Mapping):
        raise Unreadable("The request lacks 'judgements': an object with one entry per dimension.")
    timing = body.get("timing") or {}
    if not isinstance(timing, Mapping) or len(json.dumps(timing)) > _MAX_TIMING:
        raise BadVote("'timing' must be an object of at most 64 kB.")
    active = timing.get("active_ms")
    single = body.get("right_video") is None and "right_video" in body
    return Ballot(
        left_video=str(read_uuid(body, "left_video")),
        right_video="" if single else str(read_uuid(body, "right_video")),
        answers={key: _read_answer(key, value) for key, value in judgements.items()},
        timing=timing,
        active_ms=int(active) if _is_number(active) and 0 <= active < 2**31 else None,
        remark=_read_remark(body.get("remark")),
        guideline=_read_version(body.get("guideline")),
    )


def _read_remark(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _MAX_REMARK:
        raise BadVote(f"'remark' must be a text of at most {_MAX_REMARK} characters.")
    # PostgreSQL keeps no NUL in a text.
    return value.replace("\0", "").strip()


def _read_version(value: Any) -> int:
    if value is None:
        return 0
    if not _is_number(value) or value != int(value) or not 0 <= value < 2**31:
        raise BadVote("'guideline' must be the version that was shown, a whole number.")
    return int(value)


def _read_answer(key: str, value: Any) -> Answer:
    if not isinstance(value, Mapping) or not isinstance(value.get("label") or "", str):
        raise BadVote(f"The judgement on {key} must be an object with a 'label'.")
    unknown = sorted(set(value) - _ANSWER_KEYS)
    if unknown:
        raise BadVote(f"The judgement on {key} has an unknown entry {unknown[0]!r}.")
    return Answer(
        label=value.get("label") or "",
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


# What goes out.


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


def offer_json(offer: Offer, user: User) -> dict[str, Any]:
    if isinstance(offer.given, Empty):
        return empty_json(offer.given)
    return assignment_json(offer.given, offer.desk, user)


def empty_json(empty: Empty) -> dict[str, Any]:
    return {
        "empty": True,
        "gate": empty.gate,
        "reason": _in_language(empty.reason),
        "retry_after": empty.retry_after,
    }


def assignment_json(given: Assignment, desk: Desk, user: User) -> dict[str, Any]:
    campaign = desk.campaign
    return {
        "lease": str(given.token),
        "expires_at": given.expires_at.isoformat(),
        "campaign": campaign.pk,
        "kind": _kind_on_screen(campaign),
        "stage": given.stage,
        "stage_progress": _stage_progress(given.stage_progress),
        "prompt": prompt_json(given.prompt, user),
        "left": video_json(given.left, user),
        "right": video_json(given.right, user) if given.right else None,
        "dimensions": dimensions_json(desk.dimensions),
        "guideline": desk.guideline,
        "per_video_scores": campaign.per_video_scores,
        "watch_gate": campaign.watch_gate,
        "showing": campaign.showing,
        "rest": _rest(desk),
        "progress": {
            "mine": given.mine,
            "done": campaign.triplets_done,
            "total": campaign.triplets_total,
        },
    }


def _kind_on_screen(campaign: Campaign) -> str:
    """Who judges a re-test is not told that it is one: they judge pairs."""
    single = campaign.kind == CampaignKind.SINGLE
    return CampaignKind.SINGLE if single else CampaignKind.PAIRWISE


def _stage_progress(progress: StageProgress | None) -> dict[str, int] | None:
    return None if progress is None else {"done": progress.done, "of": progress.of}


def _rest(desk: Desk) -> dict[str, int]:
    campaign = desk.campaign
    return {
        "suggest_after_ms": campaign.break_after_minutes * _MINUTE_MS,
        "require_after_ms": campaign.rest_after_minutes * _MINUTE_MS,
        "active_ms_today": active_today(desk.cursor, desk.now),
        "daily_ms": daily_ms(campaign),
    }


def dimensions_json(dimensions: Iterable[Dimension]) -> list[dict[str, Any]]:
    """In the language of the reader, where the catalogs know the texts: the built-in sets."""
    return [
        {
            "key": each.key,
            "title": _in_language(each.title),
            "question": _in_language(each.question),
            "guideline": [_in_language(sentence) for sentence in each.guideline],
            "group": each.group,
            "allow_tie": each.allow_tie,
            "min_width": each.min_width,
        }
        for each in dimensions
    ]


def _in_language(text: str) -> str:
    """An empty text is the name of a catalog's header."""
    return gettext(text) if text else ""


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    return {
        "vote": str(receipt.vote),
        "state": receipt.state,
        "revision": receipt.revision,
        "replay": receipt.replay,
        "feedback": receipt.feedback,
        "explanation": receipt.explanation,
        "note": receipt.note,
    }


def own_answer_json(own: OwnAnswer, user: User) -> dict[str, Any]:
    """An own vote, as it looked on the screen, with what showing and changing it needs."""
    left, right = (own.video_b, own.video_a) if own.swap else (own.video_a, own.video_b)
    return {
        "vote": str(own.vote),
        "lease": str(own.lease),
        "revision": own.revision,
        "state": own.state,
        "submitted_at": own.submitted_at.isoformat(),
        "prompt": prompt_json(own.prompt, user),
        "left": video_json(left, user) if left else None,
        "right": video_json(right, user) if right else None,
        "judgements": {each.dimension.key: _answer(each, swap=own.swap) for each in own.said},
        "remark": own.remark,
    }


def _answer(said: Said, *, swap: bool) -> dict[str, Any]:
    side = {Label.A: "right", Label.B: "left"} if swap else {Label.A: "left", Label.B: "right"}
    scores = (said.score_a, said.score_b)
    left, right = reversed(scores) if swap else scores
    label = said.label
    return {
        "label": None if label is None else side.get(label, label.value),
        "reason": said.reason,
        "score_left": left,
        "score_right": right,
    }


def prompt_json(prompt: Prompt, user: User) -> dict[str, Any]:
    image = prompt.image
    return {
        "text": prompt.text,
        "translations": prompt.translations,
        "image": None
        if image is None
        else {
            "id": str(image.pk),
            "url": image_url(image.pk, user),
            "width": image.width,
            "height": image.height,
        },
    }


def video_json(video: Video, user: User) -> dict[str, Any]:
    return {
        "id": str(video.pk),
        "url": signed_url(video.pk, user),
        "poster": poster_url(video.pk, user),
        "fps": video.shown_fps,
        "num_frames": video.shown_frames,
        "width": video.width,
        "height": video.height,
        "duration": video.duration,
        "flash_warning": (video.flashes or 0) > SAFE,
    }
