"""Small real clips, and campaigns of them."""

import json
import random
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest


def write_clip(
    path: Path, *, seed: int = 0, frames: int = 5, fps: int = 8, codec: str = "libx264"
) -> Path:
    """A clip of 32x32 whose pixels depend on the seed alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        container.metadata["comment"] = "made by generator-secret-7B"
        stream = container.add_stream(codec, rate=fps)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for _ in range(frames):
            picture = chance.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        container.mux(stream.encode(None))
    return path


@pytest.fixture(name="write_clip")
def _write_clip() -> Callable[..., Path]:
    return write_clip


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight different clips."""
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"generator-secret_{n}.mp4", seed=n) for n in range(8)]


@pytest.fixture
def make_campaign(db: None) -> Callable[..., Any]:
    """A campaign with bare rows: its clips have no files, which voting never needs."""
    return bare_campaign


def bare_campaign(
    triplets: int = 1,
    *,
    votes_wanted: int = 3,
    name: str = "",
    dimension_set: str = "videoalign",
    **options: Any,
) -> Any:
    from annotation.campaigns import create_campaign
    from annotation.importing import create_triplets
    from annotation.models import CampaignState, Generator, Prompt, Video

    campaign = create_campaign(
        name or f"campaign {uuid.uuid4().hex[:6]}",
        dimension_set,
        votes_wanted=votes_wanted,
        state=CampaignState.OPEN,
        **options,
    )
    maker, _ = Generator.objects.get_or_create(name="generator-secret-7B")
    prompts = [
        Prompt.objects.for_text(f"{campaign.name}: a red square, {n}") for n in range(triplets)
    ]
    videos = Video.objects.bulk_create(
        Video(
            prompt=prompt,
            generator=maker,
            seed=seed,
            file=f"videos/aa/{seed}.mp4",
            sha256=f"{seed:064x}",
            original_path=f"out/generator-secret-7B/{seed}.mp4",
            fps=8,
            num_frames=9,
            width=64,
            height=64,
            duration=9 / 8,
        )
        for prompt in prompts
        for seed in (1, 2)
    )
    single = campaign.kind == "single"
    others = [None] * triplets if single else videos[1::2]
    pairs = list(zip(prompts, videos[::2], others, strict=True))
    create_triplets(campaign, pairs, chance=random.Random(1))
    return campaign


class Annotator:
    """One person's browser: speaks the REST API as the voting page does."""

    def __init__(self, user: Any) -> None:
        from django.test import Client

        self.user, self.tab, self.client = user, str(uuid.uuid4()), Client()
        self.client.force_login(user)

    def next(self, campaign: Any, *, tab: str = "", **body: Any) -> dict[str, Any]:
        answer = self.post(f"/api/campaigns/{campaign.pk}/next", {"tab": tab or self.tab, **body})
        assert answer.status_code == 200, answer.content
        return dict(answer.json())

    def ballot(self, given: dict[str, Any], labels: str | Sequence[str] = "left") -> dict[str, Any]:
        keys = [each["key"] for each in given["dimensions"]]
        words = [labels] * len(keys) if isinstance(labels, str) else labels
        reasons = [{"reason": "broken"} if word == "invalid" else {} for word in words]
        return {
            "lease": given["lease"],
            "left_video": given["left"]["id"],
            "right_video": given["right"]["id"],
            "judgements": {
                key: {"label": word, **reason}
                for key, word, reason in zip(keys, words, reasons, strict=True)
            },
            "timing": {"active_ms": 4000},
        }

    def vote(self, given: dict[str, Any], labels: str | Sequence[str] = "left") -> Any:
        return self.send(self.ballot(given, labels))

    def send(self, body: dict[str, Any], *, key: str = "") -> Any:
        return self.post("/api/votes", body, headers={"Idempotency-Key": key or body["lease"]})

    def revise(self, vote: str, revision: int, body: dict[str, Any]) -> Any:
        return self.client.put(
            f"/api/votes/{vote}",
            json.dumps(body),
            content_type="application/json",
            headers={"If-Match": str(revision)},
        )

    def post(self, path: str, body: dict[str, Any] | None = None, **options: Any) -> Any:
        return self.client.post(path, body or {}, content_type="application/json", **options)

    def get(self, path: str) -> Any:
        return self.client.get(path)


def canonical(given: dict[str, Any], word: str) -> str:
    """What a side word means in canonical order, told by the database."""
    from annotation.models import Lease

    swap = Lease.objects.get(pk=given["lease"]).swap
    return {"left": "B" if swap else "A", "right": "A" if swap else "B"}.get(word, word)


def side_of(given: dict[str, Any], label: str) -> str:
    """The side word with which this person says A or B."""
    return next((word for word in ("left", "right") if canonical(given, word) == label), label)


@pytest.fixture(name="side_of")
def _side_of() -> Callable[[dict[str, Any], str], str]:
    return side_of


@pytest.fixture
def annotator() -> type[Annotator]:
    return Annotator


@pytest.fixture
def people(db: None) -> Callable[[int], list[Any]]:
    """That many annotators."""
    from django.contrib.auth.models import Group, User

    def make(count: int) -> list[Any]:
        group = Group.objects.get(name="annotator")
        first = group.user_set.count()
        names = [f"annotator {n}" for n in range(first, first + count)]
        users = [User.objects.create(username=name) for name in names]
        group.user_set.add(*users)
        return users

    return make
