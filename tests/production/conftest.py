"""The processes of docker-compose.yml, started once for all tests here, and people who use them."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import boto3
import numpy as np
import psycopg
import pytest
import requests

from tests.conftest import PASSWORD, unavailable
from tools.services import ServiceMissing
from tools.stack import Stack, stack

# Run by `manage.py shell` with the settings of production: what an operator and a lead would do.
PEOPLE = """
from django.contrib.auth.models import Group, User
for name, group in (("alice", "annotator"), ("mia", "ml_engineer")):
    user = User.objects.create_user(name, password={password!r})
    user.groups.add(Group.objects.get(name=group))
"""
CAMPAIGN = """
from annotation.campaigns import create_campaign
from annotation.importing import create_triplets
from annotation.models import CampaignState, Video
campaign = create_campaign("production", "videoalign", state=CampaignState.OPEN, votes_wanted=1)
clips = list(Video.objects.order_by("original_path"))
prompt = clips[0].prompt
create_triplets(campaign, [(prompt, clips[0], clips[1]), (prompt, clips[2], clips[3])])
print(campaign.pk)
"""


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything runs, nobody is there yet."""
    try:
        with stack(
            tmp_path_factory.mktemp("stack"),
            TIEBREAK_RUN_LEASE_SECONDS="12",
            TIEBREAK_RUN_LEASE_MARGIN_SECONDS="3",
            TIEBREAK_RUN_RENEW_SECONDS="2",
            TIEBREAK_RUN_POLL_SECONDS="0.3",
            TIEBREAK_RUN_BACKOFF_SECONDS="0.5,0.5,0.5",
        ) as started:
            yield started
    except ServiceMissing as error:
        unavailable(str(error))


def noise(path: Path, *, seed: int) -> None:
    """A clip that cannot be packed: some megabytes, so that it is kept in several parts."""
    chance = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"preset": "ultrafast"})
        stream.width = stream.height = 256
        stream.pix_fmt = "yuv420p"
        for _ in range(24):
            pixels = chance.integers(0, 255, (256, 256, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def shell(site: Stack, program: str) -> str:
    """The last line that a program with the site's settings prints."""
    lines = site.manage("shell", "--verbosity", "0", "-c", program).strip().splitlines()
    return lines[-1] if lines else ""


def rows(site: Stack, sql: str) -> list[tuple[Any, ...]]:
    """What the site's database says."""
    with psycopg.connect(site.environment("web")["DATABASE_URL"]) as database:
        return database.execute(sql).fetchall()  # type: ignore[call-overload, no-any-return]


@pytest.fixture(scope="session")
def mia(production: Stack) -> "Person":
    """The first people; mia starts runs."""
    shell(production, PEOPLE.format(password=PASSWORD))
    return Person(production, "mia")


@pytest.fixture(scope="session")
def campaign(production: Stack, mia: "Person") -> int:
    """Four clips, taken in by a run, and two pairs of them before people."""
    folder = production.folder / "var" / "media" / "incoming" / "batch"
    folder.mkdir(parents=True)
    for number in range(4):
        noise(folder / f"{number}.mp4", seed=number)
    mia.follow(mia.start("ingest", folder="batch", prompt="a square", processes=1))
    return int(shell(production, CAMPAIGN))


def stranger(site: Stack) -> requests.Session:
    """A client that believes the site's certificate, whatever the environment says of others."""
    session = requests.Session()
    session.trust_env = False
    session.verify = str(site.certificate)
    session.headers["Referer"] = f"{site.url}/"
    return session


class Person:
    """Somebody at a browser, as far as the wire knows."""

    def __init__(self, site: Stack, name: str):
        self.site = site
        self.session = stranger(site)
        self.tab = str(uuid.uuid4())
        self.get("/accounts/login/")
        answer = self.post("/accounts/login/", {"username": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text[:500]
        assert "/accounts/login/" not in answer.url, "the log-in was refused"

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.session.get(self.site.url + path, headers=headers, timeout=60)

    def post(self, path: str, fields: dict[str, str]) -> requests.Response:
        token = self.session.cookies["__Host-csrf"]
        return self.session.post(
            self.site.url + path, {**fields, "csrfmiddlewaretoken": token}, timeout=60
        )

    def send(self, path: str, body: dict[str, Any], **headers: str) -> requests.Response:
        headers |= {"X-CSRFToken": self.session.cookies["__Host-csrf"]}
        return self.session.post(self.site.url + path, json=body, headers=headers, timeout=60)

    def start(self, kind: str, **config: Any) -> int:
        """A run, as the button starts it."""
        answer = self.send("/api/runs", {"kind": kind, "config": config})
        assert answer.status_code == 201, answer.text[:500]
        return int(answer.json()["id"])

    def follow(self, run: int, *, seconds: float = 120) -> dict[str, Any]:
        """The run when it has succeeded."""
        deadline = time.monotonic() + seconds
        while True:
            said: dict[str, Any] = self.get(f"/api/runs/{run}").json()
            if said["state"] == "succeeded":
                return said
            # As text: of a dict pytest shows the first few fields, and the error is none of them.
            assert said["state"] not in {"failed", "cancelled"}, json.dumps(said)
            assert time.monotonic() < deadline, json.dumps(said)
            time.sleep(0.3)

    def next(self, campaign: int) -> dict[str, Any]:
        answer = self.send(f"/api/campaigns/{campaign}/next", {"tab": self.tab})
        assert answer.status_code == 200, answer.text[:500]
        given: dict[str, Any] = answer.json()
        return given

    def vote(self, given: dict[str, Any]) -> requests.Response:
        judgements = {each["key"]: {"label": "left"} for each in given["dimensions"]}
        body = {
            "lease": given["lease"], "left_video": given["left"]["id"],
            "right_video": given["right"]["id"], "judgements": judgements,
            "timing": {"active_ms": 4000},
        }  # fmt: skip
        return self.send("/api/votes", body, **{"Idempotency-Key": given["lease"]})


@pytest.fixture(scope="session")
def alice(production: Stack, campaign: int) -> Person:
    return Person(production, "alice")


@pytest.fixture(scope="session")
def voted(campaign: int, alice: Person) -> list[tuple[int, str]]:
    """What the site answered to the vote on each of the two pairs: a snapshot needs them."""
    answers = [alice.vote(alice.next(campaign)) for _ in range(2)]
    return [(each.status_code, each.json()["state"]) for each in answers]


@pytest.fixture(scope="session")
def objects(production: Stack) -> Callable[..., dict[str, bytes]]:
    """What lies in a bucket below a prefix."""
    given = production.environment("web")
    service = boto3.resource(
        "s3", endpoint_url=given["MEDIA_S3_ENDPOINT_URL"], region_name=given["MEDIA_S3_REGION"],
        aws_access_key_id=given["MEDIA_S3_ACCESS_KEY"],
        aws_secret_access_key=given["MEDIA_S3_SECRET_KEY"],
    )  # fmt: skip

    def below(prefix: str, bucket: str = "tiebreak") -> dict[str, bytes]:
        found = service.Bucket(bucket).objects.filter(Prefix=prefix)
        return {each.key: each.get()["Body"].read() for each in found}

    return below
