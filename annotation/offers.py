"""What an annotator is given: a question, or the reason why there is none.

A pair of the queue and a probe are given as the same thing, so that whatever is built on it, the
wire above all, cannot tell them apart (ANNOTATION D8).
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from annotation.ballots import Said
from annotation.models import Prompt, Stage, Video


@dataclass(frozen=True, slots=True)
class StageProgress:
    done: int
    of: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """A question that an annotator may answer until `expires_at`."""

    token: uuid.UUID
    prompt: Prompt
    left: Video
    right: Video | None  # None in a campaign of single clips
    expires_at: datetime
    mine: int  # everything the annotator has answered in this campaign, probes included
    stage: str = Stage.WORKING  # working | practice | qualification
    stage_progress: StageProgress | None = None


@dataclass(frozen=True, slots=True)
class Empty:
    """No question now, and why, in a sentence. `gate`: which door is closed, if one is."""

    reason: str
    retry_after: int = 10  # seconds
    gate: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a ballot: the same for a vote and for an answer on a probe."""

    vote: uuid.UUID
    state: str
    revision: int
    replay: bool = False
    feedback: Mapping[str, Any] | None = None  # after a practice question only
    explanation: str = ""  # of a practice question
    note: str = ""  # a sentence where the annotator's stage changed


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """An own vote, or answer on a probe, as it stands: to show it again and to change it."""

    vote: uuid.UUID
    lease: uuid.UUID
    revision: int
    state: str
    submitted_at: datetime
    prompt: Prompt
    video_a: Video
    video_b: Video | None
    swap: bool
    said: tuple[Said, ...]  # canonical
    remark: str = ""
    timing: Mapping[str, Any] = field(default_factory=dict)
