"""The store: one blob per content, written once, fetched whole; in a folder and in a bucket."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.management import CommandError, call_command
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from formats.checkpoints import commit_folder, verify_folder
from formats.errors import FormatError
from formats.files import sha256_of
from pipelines.errors import ArtifactMissing, BlobMissing, StoreError
from pipelines.models import Artifact, Blob, Run, StoredFile
from pipelines.registry import path_of
from pipelines.store import bucket as bucket_module
from pipelines.store import ledger
from pipelines.store.blobs import BlobStore, blob_store, key_of, named_by
from pipelines.store.collecting import collect
from pipelines.store.keeping import fetch, keep

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
KEYS = {"access_key": "key", "secret_key": "not a secret", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(service: str, settings: Any) -> Iterator[Any]:
    """The store is a bucket; gives a client of its own."""
    name = f"store-{os.urandom(4).hex()}"
    settings.ARTIFACT_STORE_URL = f"s3://{name}/site/store"
    settings.ARTIFACT_STORE_S3 = {**KEYS, "endpoint_url": service}
    client = boto3.client(
        "s3", endpoint_url=service, region_name="us-east-1",
        aws_access_key_id="key", aws_secret_access_key="not a secret",
    )  # fmt: skip
    client.create_bucket(Bucket=name)
    client.bucket = name
    yield client
    blob_store().client.close()  # type: ignore[attr-defined]
    client.close()


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest) -> BlobStore:
    if request.param == "bucket":
        request.getfixturevalue("s3")
    return blob_store()


def a_file(tmp_path: Path, content: bytes = b"weights", name: str = "a.bin") -> tuple[Path, str]:
    path = tmp_path / name
    path.write_bytes(content)
    return path, sha256_of(path)


def an_artifact(run: Run, files: dict[str, bytes], name: str = "model") -> Artifact:
    """As the commit of a run leaves one."""
    from django.conf import settings

    def fill(folder: Path) -> None:
        for each, content in files.items():
            (folder / each).parent.mkdir(parents=True, exist_ok=True)
            (folder / each).write_bytes(content)

    path = Path(settings.RUNS_ROOT) / str(run.pk) / "outputs" / name
    sha256 = commit_folder(path, fill)
    kept = keep(path, sha256, run)
    artifact = Artifact.objects.create(
        kind="reward_model", run=run, path=f"{run.pk}/outputs/{name}", sha256=sha256, stored=True
    )
    kept.refer(artifact)
    return artifact


@pytest.fixture
def run() -> Run:
    return Run.objects.create(kind="counting", config={}, config_sha="0" * 64)


# Both stores alike.


def test_a_key_is_written_once_and_stays(store: BlobStore, tmp_path: Path) -> None:
    path, sha = a_file(tmp_path)
    key = key_of(sha)
    assert store.put(path, key, sha)
    assert not store.put(path, key, sha)
    assert store.size(key) == 7
    store.fetch(key, tmp_path / "back")
    assert sha256_of(tmp_path / "back") == sha
    assert [(held.key, held.bytes) for held in store.listing()] == [(key, 7)]
    assert next(store.listing()).age < 60


def test_what_is_not_there_is_said(store: BlobStore, tmp_path: Path) -> None:
    key = key_of("0" * 64)
    assert store.size(key) is None
    store.delete(key)
    with pytest.raises(BlobMissing, match=f"{key} is not in the store"):
        store.fetch(key, tmp_path / "back")


def test_a_blob_of_another_length_is_damaged_and_written_again(
    store: BlobStore, tmp_path: Path
) -> None:
    path, sha = a_file(tmp_path)
    other, _ = a_file(tmp_path, b"cut", "b.bin")
    assert store.put(other, key_of(sha), sha256_of(other))
    assert store.put(path, key_of(sha), sha)
    assert store.size(key_of(sha)) == 7


def test_keys_are_hashes_and_generations() -> None:
    sha = "ab" * 32
    assert key_of(sha) == f"sha256/ab/{sha}"
    assert named_by(key_of(sha, 3)) == (sha, 3)
    assert named_by("sha256/ab/../etc") is None


@pytest.mark.promise("A6")
def test_an_artifact_goes_into_the_store_and_comes_back_whole(store: BlobStore, run: Run) -> None:
    artifact = an_artifact(run, {"a.bin": b"a", "sub/b.bin": b"b"})
    assert set(artifact.files.values_list("name", flat=True)) == {
        "manifest.json", "a.bin", "sub/b.bin",
    }  # fmt: skip
    shutil.rmtree(path_of(artifact))  # another host, which has none of it
    fetch(artifact, path_of(artifact))
    verify_folder(path_of(artifact))
    fetch(artifact, path_of(artifact))  # what is there stays as it is


def test_equal_files_are_kept_once(store: BlobStore, run: Run) -> None:
    an_artifact(run, {"a.bin": b"same", "b.bin": b"same"})
    an_artifact(run, {"c.bin": b"same"}, "other")
    assert Blob.objects.count() == 3  # the two manifests, and one content
    assert len(list(store.listing())) == 3
    assert StoredFile.objects.count() == 5


@pytest.mark.promise("A5")
def test_what_is_damaged_in_the_store_is_never_put_in_its_place(
    store: BlobStore, run: Run, tmp_path: Path
) -> None:
    artifact = an_artifact(run, {"a.bin": b"weights"})
    shutil.rmtree(path_of(artifact))
    key = key_of(artifact.files.get(name="a.bin").blob_id)
    store.delete(key)
    bad, _ = a_file(tmp_path, b"WEIGHTS")
    store.put(bad, key, sha256_of(bad))
    with pytest.raises(FormatError, match=r"a\.bin is damaged in the store"):
        fetch(artifact, path_of(artifact))
    assert not path_of(artifact).exists()
    assert not list(path_of(artifact).parent.glob(".tmp-*"))
    with pytest.raises(CommandError, match="1 faults in the store"):
        call_command("check_store")
    store.delete(key)
    with pytest.raises(ArtifactMissing, match=r"a\.bin cannot be fetched: .* is not in the store"):
        fetch(artifact, path_of(artifact))


def test_a_store_that_is_whole_is_said_to_be(
    store: BlobStore, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    an_artifact(run, {"a.bin": b"weights"})
    call_command("check_store")
    assert "Every blob is there" in capsys.readouterr().out


def test_an_artifact_of_before_the_store_is_adopted(
    store: BlobStore, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = an_artifact(run, {"a.bin": b"weights"})
    artifact.files.all().delete()
    Artifact.objects.update(stored=False)
    gone = Artifact.objects.create(kind="scores", run=run, path="77/outputs/x", sha256="0" * 64)
    with pytest.raises(CommandError, match="1 faults"):
        call_command("check_store", "--adopt")
    assert f"artifact {artifact.pk}: is in the store now" in capsys.readouterr().out
    artifact.refresh_from_db()
    gone.refresh_from_db()
    assert (artifact.stored, gone.stored) == (True, False)
    assert artifact.bytes > 7
    assert artifact.files.count() == 2


@pytest.mark.promise("A10")
def test_garbage_goes_and_what_is_referred_to_stays(
    store: BlobStore, run: Run, settings: Any, tmp_path: Path
) -> None:
    artifact = an_artifact(run, {"a.bin": b"wanted"})
    path, sha = a_file(tmp_path, b"nobody wants this")
    keep(path, sha, None)
    assert collect().blobs == 0  # too young
    settings.TIEBREAK_STORE_KEEP_SECONDS = 0
    assert collect(dry_run=True).blobs == 1
    assert store.size(key_of(sha)) is not None
    done = collect()
    assert (done.blobs, done.bytes) == (1, 17)
    assert store.size(key_of(sha)) is None
    assert not ledger.present().filter(pk=sha).exists()
    shutil.rmtree(path_of(artifact))
    fetch(artifact, path_of(artifact))


# The folder alone.


def test_a_folder_takes_a_link_and_no_room(tmp_path: Path) -> None:
    path, sha = a_file(tmp_path)
    blob_store().put(path, key_of(sha), sha)
    assert path.stat().st_nlink == 2


def test_what_a_killed_writer_left_is_swept(tmp_path: Path, settings: Any) -> None:
    path, sha = a_file(tmp_path)
    blob_store().put(path, key_of(sha), sha)
    left = Path(settings.ARTIFACT_STORE_URL) / "sha256" / sha[:2] / ".tmp-abc"
    left.write_bytes(b"half")
    assert blob_store().sweep(3600) == 0
    assert blob_store().sweep(-1) == 1
    assert not left.exists()
    assert [held.key for held in blob_store().listing()] == [key_of(sha)]


def test_a_full_disk_is_a_fault_of_the_store_and_not_of_the_artifact(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.store.folder.link_or_copy", full)
    path, sha = a_file(tmp_path)
    with pytest.raises(StoreError, match=r"the store cannot take a\.bin: No space left on device"):
        keep(path, sha, run)


# The bucket alone.


def test_of_two_writers_of_one_key_the_service_refuses_the_second(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sha = a_file(tmp_path)
    store = blob_store()
    assert store.put(path, key_of(sha), sha)
    # Both had looked before either wrote.
    monkeypatch.setattr(bucket_module.BucketStore, "size", lambda *_: None)
    assert not store.put(path, key_of(sha), sha)


@pytest.mark.mutant("A6")
def test_without_the_condition_the_second_writer_would_replace_the_first(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sha = a_file(tmp_path)
    other, _ = a_file(tmp_path, b"cut sho", "b.bin")
    store = blob_store()
    store.put(path, key_of(sha), sha)
    monkeypatch.setattr(bucket_module.BucketStore, "size", lambda *_: 1)  # takes it for damaged
    assert store.put(other, key_of(sha), sha)
    store.fetch(key_of(sha), tmp_path / "back")
    assert sha256_of(tmp_path / "back") != sha


def test_a_large_file_goes_in_parts_and_once(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "_AT_ONCE", 2**20)
    monkeypatch.setattr(bucket_module, "_PART", 5 * 2**20)
    path, sha = a_file(tmp_path, os.urandom(11 * 2**20))
    store = blob_store()
    assert store.put(path, key_of(sha), sha)
    store.fetch(key_of(sha), tmp_path / "back")
    assert sha256_of(tmp_path / "back") == sha
    monkeypatch.setattr(bucket_module.BucketStore, "size", lambda *_: None)
    assert not store.put(path, key_of(sha), sha)
    assert not s3.list_multipart_uploads(Bucket=s3.bucket).get("Uploads")


def test_an_upload_that_was_never_completed_is_swept(s3: Any) -> None:
    begun = s3.create_multipart_upload(Bucket=s3.bucket, Key=f"site/store/{key_of('1' * 64)}")
    assert begun["UploadId"]
    assert blob_store().sweep(3600) == 1  # this service says that all of them began in 2010
    assert not s3.list_multipart_uploads(Bucket=s3.bucket).get("Uploads")


def test_a_service_that_does_not_answer_is_one_sentence(
    settings: Any, tmp_path: Path, run: Run
) -> None:
    settings.ARTIFACT_STORE_URL = "s3://nowhere"
    settings.ARTIFACT_STORE_S3 = {**KEYS, "endpoint_url": "http://127.0.0.1:1"}
    path, sha = a_file(tmp_path)
    with pytest.raises(StoreError, match="the store does not answer for sha256/"):
        keep(path, sha, run)
    blob_store().client.close()  # type: ignore[attr-defined]
