"""The buckets of the settings, made where they are missing: once, when a site is set up."""

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from pipelines.errors import StoreError


def ensure() -> dict[str, bool]:
    """Bucket -> whether it was made now. Nothing happens without buckets in the settings."""
    urls = (settings.MEDIA_STORAGE_URL, settings.ARTIFACT_STORE_URL)
    names = sorted({url.removeprefix("s3://").split("/")[0] for url in urls if url[:5] == "s3://"})
    if not names:
        return {}
    client = _client()
    return {name: _ensure(client, name) for name in names}


def _client() -> Any:
    options = settings.ARTIFACT_STORE_S3
    return boto3.client(
        "s3",
        endpoint_url=options.get("endpoint_url"),
        region_name=options.get("region_name"),
        aws_access_key_id=options.get("access_key"),
        aws_secret_access_key=options.get("secret_key"),
        config=Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 5}),
    )


def _ensure(client: Any, name: str) -> bool:
    try:
        if _is_there(client, name):
            return False
        region = client.meta.region_name
        elsewhere = region not in (None, "us-east-1", "aws-global")
        place = {"CreateBucketConfiguration": {"LocationConstraint": region}} if elsewhere else {}
        client.create_bucket(Bucket=name, **place)
    except (ClientError, BotoCoreError) as error:
        raise StoreError(f"the bucket {name} cannot be made or reached: {error}") from None
    return True


def _is_there(client: Any, name: str) -> bool:
    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchBucket"}:
            raise
        return False
    return True
