"""With nginx before the site, Django says who may see a clip and leaves the bytes to it (M8)."""

from typing import Any

import pytest
from django.test import Client

from annotation.media.media_urls import signed_url
from annotation.media.storage import media_storage
from annotation.models import Video
from tests.annotation.conftest import bare_campaign

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


@pytest.fixture
def video(settings: Any) -> Video:
    settings.TIEBREAK_MEDIA_BY_NGINX = True
    campaign = bare_campaign()
    found = campaign.triplets.get().video_a
    assert isinstance(found, Video)
    return found


@pytest.mark.promise("M8")
def test_the_answer_names_a_place_inside_and_carries_no_bytes(video: Video, alice: Any) -> None:
    browser = Client()
    browser.force_login(alice)
    answer = browser.get(signed_url(video.pk, alice), headers={"Range": "bytes=0-1"})
    sha = video.sha256
    assert answer["X-Accel-Redirect"] == f"/_media/shown/{sha[:2]}/{sha}.mp4"
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["ETag"] == f'"{video.pk}.mp4"'
    assert answer["Content-Type"] == "video/mp4"
    assert "immutable" in answer["Cache-Control"]


def test_who_has_the_clip_already_is_told_so_at_once(video: Video, alice: Any) -> None:
    browser = Client()
    browser.force_login(alice)
    answer = browser.get(
        signed_url(video.pk, alice), headers={"If-None-Match": f'"{video.pk}.mp4"'}
    )
    assert answer.status_code == 304
    assert "X-Accel-Redirect" not in answer


@pytest.mark.promise("M8")
def test_nobody_else_is_told_the_place(video: Video, alice: Any, bob: Any) -> None:
    browser = Client()
    assert "X-Accel-Redirect" not in browser.get(signed_url(video.pk, alice))
    browser.force_login(bob)
    refused = browser.get(signed_url(video.pk, alice))
    assert refused.status_code == 403
    assert "X-Accel-Redirect" not in refused
    browser.force_login(alice)
    tampered = signed_url(video.pk, alice)[:-1]
    assert browser.get(tampered).status_code == 403


def test_the_storage_lists_what_a_backup_copies(settings: Any, tmp_path: Any) -> None:
    store = media_storage()
    for name in ("one.mp4", "two.mp4"):
        (tmp_path / name).write_bytes(name.encode())
        store.put(tmp_path / name, f"videos/aa/{name}")
    (settings.MEDIA_ROOT / "videos" / "aa" / ".three.mp4.1234").write_bytes(b"half")
    assert list(store.listing("videos")) == [("videos/aa/one.mp4", 7), ("videos/aa/two.mp4", 7)]
    assert list(store.listing("posters")) == []
