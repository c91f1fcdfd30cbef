"""With a bucket as the storage: import, the page's media, and the files of a run, all the way."""

import hashlib
import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.files.storage import storages
from django.test import Client
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from annotation.campaigns import create_campaign, ensure_built_in_sets
from annotation.importing import create_triplets
from annotation.media import uploads
from annotation.media.keeping import measured, original_path, store_reference_image
from annotation.media.media_urls import image_url, poster_url, signed_url
from annotation.media.storage import media_storage
from annotation.models import CampaignState, Consensus, ConsensusSource, Prompt, Video
from formats.snapshot import read_snapshot
from pipelines import launching
from pipelines.errors import ArtifactMissing
from pipelines.materialising import make_local
from pipelines.models import BaseModel, Run
from pipelines.registry import path_of
from pipelines.starting import start_run
from tests.annotation import hostile_media as hostile
from tests.pipelines.loop_world import play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
KEYS = {"access_key": "key", "secret_key": "not a secret"}


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """An S3-compatible service on loopback: moto's, which keeps all in memory."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(service: str, settings: Any, tmp_path: Path) -> Iterator[Any]:
    name = f"clips-{os.urandom(4).hex()}"
    options = {"endpoint_url": service, "region_name": "us-east-1"}
    storage = {
        "BACKEND": "annotation.media.storage_s3.S3Media",
        "OPTIONS": {
            **KEYS, **options, "bucket_name": name, "location": "site/media",
            "default_acl": None, "file_overwrite": True,
        },
    }  # fmt: skip
    resource = boto3.resource(
        "s3",
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
        **options,
    )
    resource.create_bucket(Bucket=name)
    settings.STORAGES = {**settings.STORAGES, "media": storage}
    yield resource.Bucket(name)
    store = storages["media"]
    store.connection.meta.client.close()  # type: ignore[attr-defined]
    resource.meta.client.close()


def keys_of(bucket: Any) -> set[str]:
    return {each.key for each in bucket.objects.all()}


@pytest.fixture
def campaign(bucket: Any, tmp_path: Path, settings: Any) -> Any:
    """Two clips, taken in by a run, and one pair of them that is settled."""
    folder = Path(settings.MEDIA_ROOT) / "incoming" / "batch"
    folder.mkdir(parents=True)
    hostile.clip(folder / "a.mp4")
    hostile.clip(folder / "b.mp4", codec="mpeg4", side=96)
    play(start_run("ingest", {"folder": "batch", "prompt": "a square", "processes": 1}, user=None))
    ensure_built_in_sets()
    campaign = create_campaign("on a bucket", "videoalign", state=CampaignState.OPEN)
    videos = Video.objects.order_by("original_path")
    (triplet,) = create_triplets(campaign, [(videos[0].prompt, videos[0], videos[1])])
    type(triplet).objects.filter(pk=triplet.pk).update(state="complete")
    for dimension in campaign.dimension_set.dimensions.all():
        Consensus.objects.create(
            triplet=triplet, dimension=dimension, label="A", source=ConsensusSource.IMPORT
        )
    return campaign


def files_below(folder: Path) -> list[str]:
    return sorted(
        each.relative_to(folder).as_posix()
        for each in folder.rglob("*")
        if each.is_file() and "incoming" not in each.parts
    )


def test_everything_lies_in_the_bucket_under_the_same_keys(
    campaign: Any, bucket: Any, settings: Any
) -> None:
    wanted = set()
    for video in Video.objects.all():
        start, sha = video.sha256[:2], video.sha256
        wanted |= {
            f"site/media/videos/{start}/{sha}.mp4",
            f"site/media/shown/{start}/{sha}.mp4",
            f"site/media/posters/{start}/{sha}.jpg",
        }
    assert keys_of(bucket) == wanted
    assert files_below(Path(settings.MEDIA_ROOT)) == []


def test_people_get_its_bytes_through_us_by_ranges_and_never_its_address(
    campaign: Any, bucket: Any, alice: Any, service: str
) -> None:
    client = Client()
    client.force_login(alice)
    video = Video.objects.get(original_path="a.mp4")
    content = bucket.Object(
        f"site/media/shown/{video.sha256[:2]}/{video.sha256}.mp4"
    ).get()["Body"].read()  # fmt: skip
    whole = client.get(signed_url(video.pk, alice))
    assert (whole.status_code, b"".join(whole)) == (200, content)
    part = client.get(signed_url(video.pk, alice), headers={"Range": "bytes=10-19"})
    assert (part.status_code, b"".join(part)) == (206, content[10:20])
    assert part["Content-Range"] == f"bytes 10-19/{len(content)}"
    outside = client.get(signed_url(video.pk, alice), headers={"Range": f"bytes={len(content)}-"})
    assert outside.status_code == 416
    poster = client.get(poster_url(video.pk, alice))
    assert b"".join(poster).startswith(b"\xff\xd8\xff")
    for answer in (whole, part, outside, poster):
        said = str(dict(answer.headers))
        for word in (bucket.name, service, "site/media", video.sha256, "amz", "Location"):
            assert word not in said


def test_reference_images_lie_there_too(
    campaign: Any, bucket: Any, mia: Any, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("RGB", (30, 20), "teal").save(tmp_path / "first.png")
    image = store_reference_image(tmp_path / "first.png")
    Prompt.objects.for_text("a teal square", image)
    assert f"site/media/{image.file}" in keys_of(bucket)
    client = Client()
    client.force_login(mia)
    assert b"".join(client.get(image_url(image.pk, mia))).startswith(b"\x89PNG")


def test_a_run_finds_its_clips_on_this_machine_checked(
    campaign: Any, bucket: Any, settings: Any
) -> None:
    snapshot = play(start_run("snapshot", {"campaign": campaign.pk}, user=None)).artifacts.get()
    base = BaseModel.objects.create(name="vlm", role="vlm", source="none/such")
    run = start_run("reward_model", {}, {"snapshot": snapshot, "backbone": base}, user=None)
    root = Path(settings.MEDIA_ROOT)
    assert make_local(run) == 2
    for record in read_snapshot(path_of(snapshot)).records:
        for ref in (record.video_a, record.video_b):
            assert ref is not None
            # What the trainer does: media_root / path.
            assert measured(root / ref.path).num_frames == ref.num_frames
    kept = {name: (root / name).stat().st_mtime_ns for name in files_below(root)}
    assert len(kept) == 2
    make_local(run)
    assert {name: (root / name).stat().st_mtime_ns for name in files_below(root)} == kept
    assert launching.prepare(run).media_root() == root.absolute()


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_a_run_does_not_start_on_a_clip_that_is_changed_or_gone(
    campaign: Any, bucket: Any, settings: Any, harm: str, short_times: Any, attempt: Any
) -> None:
    snapshot = play(start_run("snapshot", {"campaign": campaign.pk}, user=None)).artifacts.get()
    video = Video.objects.get(original_path="a.mp4")
    stored = bucket.Object(f"site/media/{video.file}")
    if harm == "changed":
        stored.put(Body=b"something else")
    else:
        stored.delete()
    base = BaseModel.objects.create(name="vlm", role="vlm", source="none/such")
    run = start_run("reward_model", {}, {"snapshot": snapshot, "backbone": base}, user=None)
    with pytest.raises(ArtifactMissing, match=video.file):
        make_local(run)
    assert video.file not in files_below(Path(settings.MEDIA_ROOT))
    failed: Run = attempt()
    assert (failed.state, failed.reason) == ("failed", "input_failed")
    assert video.file in failed.message


def test_a_lost_clip_is_404_and_a_known_one_is_not_sent_twice(
    campaign: Any, bucket: Any, alice: Any
) -> None:
    client = Client()
    client.force_login(alice)
    video = Video.objects.get(original_path="b.mp4")
    before = len(keys_of(bucket))
    store = media_storage()
    store.put(original_path(video), video.file)
    assert len(keys_of(bucket)) == before
    bucket.Object(f"site/media/shown/{video.sha256[:2]}/{video.sha256}.mp4").delete()
    assert client.get(signed_url(video.pk, alice)).status_code == 404


def test_a_clip_that_a_program_sent_in_parts_goes_into_the_bucket(
    bucket: Any, lee: Any, tmp_path: Path
) -> None:
    """Parts are collected on the host; what imports take from there goes where media goes."""
    data = hostile.clip(tmp_path / "a.mp4").read_bytes()
    upload = uploads.begin(lee, "sent/a.mp4", len(data), hashlib.sha256(data).hexdigest())
    done = uploads.add_part(lee, uuid.UUID(upload.id), 0, len(data), io.BytesIO(data))
    config = {"folder": done.path.rpartition("/")[0], "prompt": "a square", "processes": 1}
    play(start_run("ingest", config, user=None))
    video = Video.objects.get()
    assert any(video.sha256 in key for key in keys_of(bucket))
