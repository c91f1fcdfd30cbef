"""The JSON of gold, flags, adjudication and standings: bodies in, rows out."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from django.contrib.auth.models import User

from annotation import wire
from annotation.adjudicating import Case, Ruling, Verdict
from annotation.errors import NotFound, Unreadable
from annotation.media.media_urls import signed_url
from annotation.models import Adjudication, Campaign, Dimension, Flag, Probe, Prompt, Triplet, Video
from annotation.quality.flags import Report
from annotation.quality.gold import Question
from annotation.quality.recollecting import Window
from annotation.quality.scorecards import Scorecard
from annotation.quality.standings import Standing

_MAX_NOTE: Final = 2000


# What comes in.


def read_report(body: Mapping[str, Any]) -> Report:
    return Report(
        kind=read_text(body, "kind"), side=read_text(body, "side"), note=read_text(body, "note")
    )


def read_ruling(body: Mapping[str, Any]) -> Ruling:
    return Ruling(wire.read_ballot(body), read_text(body, "reason"), read_text(body, "note"))


def read_text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _MAX_NOTE:
        raise Unreadable(f"{name!r} must be a text of at most {_MAX_NOTE} characters.")
    return value.replace("\0", "").strip()


def read_whole(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise Unreadable(f"{name!r} must be a whole number, got {str(value)[:80]!r}.")
    return value


def read_flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if not isinstance(value, bool):
        raise Unreadable(f"{name!r} must be true or false, got {str(value)[:80]!r}.")
    return value


def read_numbers(body: Mapping[str, Any], name: str) -> list[int]:
    value = body.get(name)
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise Unreadable(f"{name!r} must be a list of whole numbers.")
    return value


def read_expected(body: Mapping[str, Any]) -> dict[str, Any]:
    expected = body.get("expected")
    if not isinstance(expected, Mapping):
        raise Unreadable("'expected' must be an object: the right answer on each dimension.")
    return {str(key): value for key, value in expected.items()}


def read_explanation(body: Mapping[str, Any]) -> dict[str, str]:
    """A text (in English), or an object of texts by language."""
    given = body.get("explanation") or {}
    if isinstance(given, str):
        return {"en": given}
    if not isinstance(given, Mapping) or not all(isinstance(text, str) for text in given.values()):
        raise Unreadable("'explanation' must be a text, or an object of texts by language.")
    return dict(given)


def read_question(body: Mapping[str, Any]) -> Question:
    """Clips by their ids, the first in the place of A; the prompt is theirs."""
    first = _clip(body, "video_a")
    second = None if body.get("video_b") is None else _clip(body, "video_b")
    return Question(
        prompt=first.prompt,
        video_a=first,
        video_b=second,
        expected=read_expected(body),
        explanation=read_explanation(body),
    )


def _clip(body: Mapping[str, Any], name: str) -> Video:
    video_id = wire.read_uuid(body, name)
    clip = Video.objects.select_related("prompt").filter(pk=video_id).first()
    if clip is None:
        raise NotFound(f"There is no clip {video_id}.")
    return clip


# What goes out. Leads see what is hidden from annotators.


def probe_json(probe: Probe, user: User) -> dict[str, Any]:
    return {
        "id": probe.pk,
        "kind": probe.kind,
        "active": probe.active,
        "prompt": _prompt_text(probe.prompt),
        "video_a": _clip_json(probe.video_a, user),
        "video_b": _clip_json(probe.video_b, user) if probe.video_b else None,
        "triplet": probe.triplet_id,
        "expected": probe.expected,
        "explanation": probe.explanation,
        "created_at": probe.created_at.isoformat(),
    }


def triplet_json(triplet: Triplet, user: User) -> dict[str, Any]:
    return {
        "triplet": triplet.pk,
        "prompt": _prompt_text(triplet.prompt),
        "video_a": _clip_json(triplet.video_a, user),
        "video_b": _clip_json(triplet.video_b, user) if triplet.video_b else None,
    }


def flag_json(flag: Flag, user: User) -> dict[str, Any]:
    return {
        "id": flag.pk,
        "kind": flag.kind,
        "state": flag.state,
        "note": flag.note,
        "annotator": flag.annotator.username,
        "created_at": flag.created_at.isoformat(),
        "settled_by": flag.settled_by.username if flag.settled_by else None,
        "settled_at": flag.settled_at.isoformat() if flag.settled_at else None,
        "triplet": flag.triplet_id,
        "probe": flag.probe_id,
        "video": _clip_json(flag.video, user) if flag.video else None,
        "withdrawn": bool(flag.video and flag.video.withdrawn),
        "withdrew": len(flag.withdrew),
    }


def case_json(case: Case, dimensions: Iterable[Dimension], user: User) -> dict[str, Any]:
    """Blind: who said what, and what made the clips, is not in it."""
    return {
        "triplet": case.triplet.pk,
        "why": case.why,
        "waiting": case.waiting,
        "prompt": wire.prompt_json(case.prompt, user),
        "left": wire.video_json(case.left, user),
        "right": wire.video_json(case.right, user) if case.right else None,
        "dimensions": wire.dimensions_json(dimensions),
        "watch_gate": case.triplet.campaign.watch_gate,
    }


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "adjudication": verdict.adjudication.pk,
        "settled": list(verdict.settled),
        "spread": {key: dict(said) for key, said in verdict.spread.items()},
    }


def ruling_json(row: Adjudication) -> dict[str, Any]:
    return {
        "adjudication": row.pk,
        "adjudicator": row.adjudicator.username,
        "labels": row.labels,
        "reason": row.reason,
        "note": row.note,
        "created_at": row.created_at.isoformat(),
    }


def standing_json(row: Standing) -> dict[str, Any]:
    return {
        **asdict(row),
        "stage_since": row.stage_since.isoformat(),
        "straight": row.straight,
    }


def window_json(found: Window) -> dict[str, Any]:
    return {**asdict(found), "since": found.since.isoformat() if found.since else None}


def scorecard_json(card: Scorecard, campaign: Campaign) -> dict[str, Any]:
    days = [
        {
            **asdict(day),
            "day": day.day.isoformat(),
            "seconds": day.seconds,
            "agreement": day.agreement,
        }
        for day in card.days
    ]
    return {
        **asdict(card),
        "campaign": campaign.pk,
        "seconds": card.seconds,
        "days": days,
    }


def _prompt_text(prompt: Prompt) -> dict[str, Any]:
    return {"id": prompt.pk, "text": prompt.text}


def _clip_json(clip: Video, user: User) -> dict[str, Any]:
    return {
        "id": str(clip.pk),
        "url": signed_url(clip.pk, user),
        "generator": clip.generator.name if clip.generator else None,
        "withdrawn": clip.withdrawn,
    }
