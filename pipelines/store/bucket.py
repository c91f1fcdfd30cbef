"""The store as a bucket of an S3-compatible service; imported only where the settings name one.

Every write is conditional (`If-None-Match: *`): of two that come at once, one finds it there.
"""

import base64
import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pipelines.errors import BlobMissing, StoreError
from pipelines.store.blobs import Held

_PART: Final = 64 * 2**20
# More than this goes in parts; S3 itself takes at most 5 GiB at once.
_AT_ONCE: Final = 512 * 2**20
_THERE: Final = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
_GONE: Final = {"NoSuchKey", "404", "NotFound"}


class BucketStore:
    """Objects below a prefix. `options`: endpoint_url, region_name, access_key, secret_key."""

    def __init__(self, bucket: str, prefix: str, options: Mapping[str, str | None]):
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=options.get("endpoint_url"),
            region_name=options.get("region_name"),
            aws_access_key_id=options.get("access_key"),
            aws_secret_access_key=options.get("secret_key"),
            config=Config(
                connect_timeout=5, read_timeout=60, retries={"max_attempts": 4, "mode": "standard"}
            ),
        )

    def put(self, path: Path, key: str, sha256: str) -> bool:
        size, there = path.stat().st_size, self.size(key)
        if there == size:
            return False  # The bytes need not travel; the write below is the one that decides.
        # What is there in another length is damaged: nobody can want it to stay.
        unless = {} if there is not None else {"IfNoneMatch": "*"}
        with path.open("rb") as file, self._told(key):
            try:
                if size > _AT_ONCE:
                    self._put_in_parts(file, key, unless)
                else:
                    self._put_at_once(file, key, sha256, unless)
            except ClientError as error:
                if _code(error) not in _THERE:
                    raise
                return False
        return True

    def _put_at_once(
        self, file: BinaryIO, key: str, sha256: str, unless: Mapping[str, str]
    ) -> None:
        # The service refuses bytes of another hash.
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        self.client.put_object(**self._at(key), **unless, Body=file, ChecksumSHA256=checksum)

    def _put_in_parts(self, file: BinaryIO, key: str, unless: Mapping[str, str]) -> None:
        begun = self.client.create_multipart_upload(**self._at(key), ChecksumAlgorithm="SHA256")
        upload = {**self._at(key), "UploadId": begun["UploadId"]}
        try:
            self.client.complete_multipart_upload(
                **upload, **unless, MultipartUpload={"Parts": self._parts(file, upload)}
            )
        except BaseException:
            with contextlib.suppress(ClientError, BotoCoreError):
                self.client.abort_multipart_upload(**upload)
            raise

    def _parts(self, file: BinaryIO, upload: Mapping[str, str]) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        while block := file.read(_PART):
            number = len(parts) + 1
            sent = self.client.upload_part(
                **upload, PartNumber=number, Body=block, ChecksumAlgorithm="SHA256"
            )
            parts.append(
                {"PartNumber": number, "ETag": sent["ETag"]}
                | {name: sent[name] for name in ("ChecksumSHA256",) if name in sent}
            )
        return parts

    def fetch(self, key: str, target: Path) -> None:
        with self._told(key):
            self.client.download_file(self.bucket, f"{self.prefix}{key}", str(target))

    def size(self, key: str) -> int | None:
        try:
            with self._told(key):
                found: int = self.client.head_object(**self._at(key))["ContentLength"]
        except BlobMissing:
            return None
        return found

    def delete(self, key: str) -> None:
        with self._told(key):
            self.client.delete_object(**self._at(key))

    def listing(self) -> Iterator[Held]:
        pages = self.client.get_paginator("list_objects_v2")
        with self._told("its list"):
            for page in pages.paginate(Bucket=self.bucket, Prefix=f"{self.prefix}sha256/"):
                for row in page.get("Contents", ()):
                    key = row["Key"].removeprefix(self.prefix)
                    yield Held(key, row["Size"], _age(row["LastModified"]))

    def sweep(self, older_than: float) -> int:
        """Uploads in parts that were never completed: they are paid for and never seen."""
        removed = 0
        pages = self.client.get_paginator("list_multipart_uploads")
        with self._told("its unfinished uploads"):
            for page in pages.paginate(Bucket=self.bucket, Prefix=f"{self.prefix}sha256/"):
                for row in page.get("Uploads", ()):
                    if _age(row["Initiated"]) > older_than:
                        self.client.abort_multipart_upload(
                            Bucket=self.bucket, Key=row["Key"], UploadId=row["UploadId"]
                        )
                        removed += 1
        return removed

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": f"{self.prefix}{key}"}

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """What goes wrong in the service, as one sentence that names the key."""
        try:
            yield
        except ClientError as error:
            if _code(error) in _GONE:
                raise BlobMissing(f"{what} is not in the store") from None
            raise StoreError(f"the store refuses {what}: {_code(error) or error}") from None
        except BotoCoreError as error:
            raise StoreError(f"the store does not answer for {what}: {error}") from None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _age(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()
