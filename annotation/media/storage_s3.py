"""Media in a bucket of an S3-compatible service; imported only where the settings name one."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from storages.backends.s3 import S3Storage

from annotation.errors import MediaError
from annotation.media.storage import sync_file
from formats.files import sha256_of

_CHUNK: Final = 64 * 1024
_SIGNED_SECONDS: Final = 3600  # nginx asks for a clip's parts while it plays
_TYPES: Final = {".mp4": "video/mp4", ".jpg": "image/jpeg", ".png": "image/png"}


class S3Media(S3Storage):
    """A bucket. People get its bytes through us, by ranges; nobody gets an address of it."""

    def put(self, path: Path, key: str) -> None:
        if self.exists(key):
            return
        kind = _TYPES.get(Path(key).suffix, "application/octet-stream")
        with _told(key):
            self.bucket.upload_file(str(path), self._at(key), ExtraArgs={"ContentType": kind})

    def read(self, key: str, start: int, length: int) -> Iterator[bytes]:
        if length <= 0:
            return
        wanted = f"bytes={start}-{start + length - 1}"
        with _told(key):
            body = self.bucket.Object(self._at(key)).get(Range=wanted)["Body"]
            yield from body.iter_chunks(_CHUNK)

    def local(self, key: str, sha256: str) -> Path:
        target = Path(settings.MEDIA_ROOT) / key
        if target.is_file():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with _told(key):
                self.bucket.download_file(self._at(key), str(temporary))
            if sha256_of(temporary) != sha256:
                raise MediaError(
                    f"{key} has changed in the storage; its sha256 is not the known one"
                )
            sync_file(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return target

    def listing(self, folder: str) -> Iterator[tuple[str, int]]:
        start = self._at("")
        with _told(folder):
            for each in self.bucket.objects.filter(Prefix=f"{self._at(folder)}/"):
                yield each.key.removeprefix(start).lstrip("/"), each.size

    def behind_nginx(self, key: str) -> str:
        """Signed for nginx alone, which holds no key of the service; people never see it."""
        wanted = {"Bucket": self.bucket.name, "Key": self._at(key)}
        client = self.connection.meta.client
        url = urlsplit(
            client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=_SIGNED_SECONDS)
        )
        return f"/_storage{url.path}?{url.query}"

    def _at(self, key: str) -> str:
        name: str = self._normalize_name(key)
        return name


@contextlib.contextmanager
def _told(key: str) -> Iterator[None]:
    """What goes wrong in the service as one sentence that names the file."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise MediaError(f"the storage refuses {key}: {code or error}") from None
    except (BotoCoreError, OSError) as error:
        raise MediaError(f"the storage does not give {key}: {error}") from None
