"""Clips are served to the one person who was given the URL, whole or in part (RFC 9110)."""

import time
import uuid

import pytest

from annotation.media import shown_path, signed_url, store_video
from annotation.models import Prompt, Video


@pytest.fixture
def video(clips, db):
    return store_video(clips[0], prompt=Prompt.objects.for_text("x"))


@pytest.fixture
def fetch(video, alice, client):
    client.force_login(alice)
    url = signed_url(video.pk, alice)

    def get(**headers: str):
        return client.get(url, headers={key.replace("_", "-"): v for key, v in headers.items()})

    return get


def body(response) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def test_the_whole_clip_with_headers_that_let_it_be_kept(fetch, video):
    answer = fetch()
    assert answer.status_code == 200
    assert body(answer) == shown_path(video).read_bytes()
    assert answer["Content-Length"] == str(shown_path(video).stat().st_size)
    assert answer["Content-Type"] == "video/mp4"
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["Cache-Control"] == "private, max-age=86400, immutable"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == f'inline; filename="{video.pk}.mp4"'
    # Neither a hash of the file nor its name is in any header.
    assert video.sha256[:12] not in str(answer.headers)


def ranges(size: int):
    return {
        "bytes=0-99": (0, 99),
        "bytes=100-": (100, size - 1),
        "bytes=-50": (size - 50, size - 1),
        "bytes=0-0": (0, 0),
        f"bytes={size - 1}-": (size - 1, size - 1),
        f"bytes=10-{size + 500}": (10, size - 1),
        f"bytes=-{size + 500}": (0, size - 1),
    }


def test_single_ranges_are_exact(fetch, video):
    content = shown_path(video).read_bytes()
    for header, (start, end) in ranges(len(content)).items():
        answer = fetch(Range=header)
        assert answer.status_code == 206, header
        assert body(answer) == content[start : end + 1], header
        assert answer["Content-Range"] == f"bytes {start}-{end}/{len(content)}"
        assert answer["Content-Length"] == str(end - start + 1)


def test_a_range_outside_the_clip_is_416(fetch, video):
    size = shown_path(video).stat().st_size
    for header in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
        answer = fetch(Range=header)
        assert answer.status_code == 416, header
        assert answer["Content-Range"] == f"bytes */{size}"


@pytest.mark.parametrize(
    "header", ["bytes=0-1,4-5", "bytes=5-2", "bytes=-", "bytes=a-b", "frames=0-1", "0-1"]
)
def test_ranges_that_are_not_single_or_not_right_get_the_whole_clip(fetch, video, header):
    answer = fetch(Range=header)
    assert answer.status_code == 200
    assert body(answer) == shown_path(video).read_bytes()


def test_if_range_gives_the_part_only_of_the_same_clip(fetch, video):
    assert fetch(Range="bytes=0-9", If_Range=f'"{video.pk}"').status_code == 206
    for other in ('"another"', "Wed, 21 Oct 2026 07:28:00 GMT"):
        assert fetch(Range="bytes=0-9", If_Range=other).status_code == 200


def test_a_known_clip_is_not_sent_again(fetch, video):
    answer = fetch(If_None_Match=f'"{video.pk}"')
    assert answer.status_code == 304
    assert answer["ETag"] == f'"{video.pk}"'
    assert body(answer) == b""


def test_head_tells_the_size_and_sends_nothing(video, alice, client):
    client.force_login(alice)
    answer = client.head(signed_url(video.pk, alice))
    assert answer.status_code == 200
    assert answer["Content-Length"] == str(shown_path(video).stat().st_size)
    assert body(answer) == b""


def test_the_url_stays_the_same_within_a_bucket(video, alice, bob):
    # If a bucket ends between two calls, the second pair is within the next one.
    pairs = [(signed_url(video.pk, alice), signed_url(video.pk, alice)) for _ in range(2)]
    assert any(one == two for one, two in pairs)
    assert signed_url(video.pk, bob) != signed_url(video.pk, alice)


def test_only_its_owner_may_use_a_url(video, alice, bob, client):
    url = signed_url(video.pk, alice)
    assert client.get(url).status_code == 302  # to the log-in
    client.force_login(bob)
    assert client.get(url).status_code == 403
    client.force_login(alice)
    assert client.get(url).status_code == 200


def test_tampered_and_expired_urls_are_refused(video, alice, client, settings):
    client.force_login(alice)
    path, query = signed_url(video.pk, alice).split("?")
    expires, signature = (part.split("=")[1] for part in query.split("&"))
    spoiled = [
        f"{path}",
        f"{path}?x={int(expires) + 1}&s={signature}",
        f"{path}?x={expires}&s={signature[:-1]}",
        f"{path}?x={expires}&s={signature[:-1]}é",
        f"{path}?x=never&s={signature}",
        f"{path}?x={'9' * 30}&s={signature}",
        f"/v/{uuid.uuid4()}?{query}",
    ]
    for url in spoiled:
        assert client.get(url).status_code == 403, url
    settings.TIEBREAK_MEDIA_URL_SECONDS = 0.05
    expired = signed_url(video.pk, alice)
    time.sleep(1.2)  # whole seconds stand in the URL
    assert client.get(expired).status_code == 403


def test_a_withdrawn_or_lost_clip_is_gone(video, alice, client):
    client.force_login(alice)
    url = signed_url(video.pk, alice)
    Video.objects.update(withdrawn=True)
    assert client.get(url).status_code == 404
    Video.objects.update(withdrawn=False)
    shown_path(video).unlink()
    assert client.get(url).status_code == 404
