"""Clips are served whole or in part to the person they were given to, and to nobody else (M8)."""

import shutil
import time
import uuid
from pathlib import Path

import pytest
from PIL import Image

from annotation.campaigns import create_campaign, ensure_built_in_sets
from annotation.importing import create_triplets
from annotation.media.keeping import poster_key, shown_path, store_reference_image, store_video
from annotation.media.media_urls import image_url, poster_url, signed_url
from annotation.media.storage import media_storage
from annotation.models import CampaignState, Guideline, Probe, Prompt, Video

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]

# RFC 9110, 14.1 and 14.2, for a clip of `size` bytes: header -> (status, first, last).
RANGES = {
    "the first byte": ("bytes=0-0", 206, 0, 0),
    "a part": ("bytes=2-9", 206, 2, 9),
    "from a byte on": ("bytes=10-", 206, 10, -1),
    "the last byte": ("bytes=-1", 206, -1, -1),
    "the whole as a part": ("bytes=0-", 206, 0, -1),
    "an end behind the end": ("bytes=5-99999999", 206, 5, -1),
    "more from the end than there is": ("bytes=-99999999", 206, 0, -1),
    "the unit in capitals": ("BYTES=0-0", 206, 0, 0),
    "a start behind the end": ("bytes=99999999-", 416, 0, 0),
    "nothing from the end": ("bytes=-0", 416, 0, 0),
    "last before first": ("bytes=5-2", 200, 0, -1),
    "several": ("bytes=0-1,4-5", 200, 0, -1),
    "another unit": ("frames=0-1", 200, 0, -1),
    "no unit": ("0-1", 200, 0, -1),
    "no numbers": ("bytes=-", 200, 0, -1),
    "letters": ("bytes=a-b", 200, 0, -1),
    "digits of another script": ("bytes=٠-١", 200, 0, -1),
    "numbers beyond all measure": (f"bytes=0-{'9' * 4000}", 200, 0, -1),
}


@pytest.fixture
def prompt(clips, tmp_path):
    Image.new("RGB", (20, 12), "red").save(tmp_path / "first.png")
    return Prompt.objects.for_text("a red square", store_reference_image(tmp_path / "first.png"))


@pytest.fixture
def campaign(prompt, clips, settings):
    """An open campaign that asks about two clips."""
    ensure_built_in_sets()
    campaign = create_campaign("one", "videoalign", state=CampaignState.OPEN)
    # Files of a run are opened in this process, which is faster.
    folder = Path(settings.RUNS_ROOT) / "1"
    folder.mkdir(parents=True)
    ours = [Path(shutil.copy(clip, folder)) for clip in clips[:2]]
    pair = [store_video(clip, prompt=prompt) for clip in ours]
    create_triplets(campaign, [(prompt, *pair)])
    return campaign


@pytest.fixture
def video(campaign):
    return campaign.triplets.get().video_a


def body(response):
    return b"".join(response.streaming_content) if response.streaming else response.content


@pytest.fixture
def ask(client, alice, video):
    client.force_login(alice)
    return lambda **headers: client.get(signed_url(video.pk, alice), headers=headers)


def test_the_whole_clip_with_headers_that_let_it_be_kept(ask, video):
    answer = ask()
    assert answer.status_code == 200
    assert body(answer) == shown_path(video).read_bytes()
    wanted = {
        "Content-Type": "video/mp4",
        "Content-Length": str(shown_path(video).stat().st_size),
        "Accept-Ranges": "bytes",
        "ETag": f'"{video.pk}.mp4"',
        "Content-Disposition": f'inline; filename="{video.pk}.mp4"',
        "Cache-Control": "private, max-age=86400, immutable",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-site",
        "Referrer-Policy": "no-referrer",
    }
    assert {name: answer[name] for name in wanted} == wanted


@pytest.mark.promise("M8")
@pytest.mark.parametrize("case", RANGES)
def test_ranges_are_answered_to_the_byte(ask, video, case):
    header, status, first, last = RANGES[case]
    content = shown_path(video).read_bytes()
    size = len(content)
    answer = ask(Range=header)
    assert answer.status_code == status
    if status == 416:
        assert answer["Content-Range"] == f"bytes */{size}"
        assert body(answer) == b""
        return
    first, last = first % size, last % size
    assert body(answer) == content[first : last + 1]
    assert answer["Content-Length"] == str(last + 1 - first)
    assert answer.get("Content-Range") == (
        f"bytes {first}-{last}/{size}" if status == 206 else None
    )


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('"{pk}.mp4"', 206),
        ('"another"', 200),
        ('W/"{pk}.mp4"', 200),  # a weak tag promises no equal bytes
        ("Sat, 01 Jan 2050 00:00:00 GMT", 200),  # we give no date that it could mean
    ],
)
def test_if_range_gives_the_part_only_of_the_same_clip(ask, video, condition, status):
    answer = ask(**{"Range": "bytes=0-1", "If-Range": condition.format(pk=video.pk)})
    assert answer.status_code == status


@pytest.mark.promise("M8")
@pytest.mark.parametrize("tag", ['"{pk}.mp4"', 'W/"{pk}.mp4"', '"x", "{pk}.mp4"', "*"])
def test_a_known_clip_is_not_sent_again(ask, video, tag):
    answer = ask(**{"If-None-Match": tag.format(pk=video.pk)})
    assert (answer.status_code, body(answer)) == (304, b"")
    assert "immutable" in answer["Cache-Control"]


def test_head_tells_the_size_and_sends_nothing(client, alice, video):
    client.force_login(alice)
    answer = client.head(signed_url(video.pk, alice), headers={"Range": "bytes=0-1"})
    assert answer.status_code == 200
    assert answer["Content-Length"] == str(shown_path(video).stat().st_size)
    assert body(answer) == b""


def test_nothing_is_changed_through_a_clip(client, alice, video):
    client.force_login(alice)
    for method in (client.post, client.put, client.delete):
        assert method(signed_url(video.pk, alice)).status_code == 405


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


def tampered(url, other):
    """Fifty ways to change a URL: each letter of the signature, and the rest."""
    path, query = url.split("?")
    expires, signature = (part.split("=")[1] for part in query.split("&"))
    for at, letter in enumerate(signature):
        other_letter = "0" if letter != "0" else "1"
        yield f"{path}?x={expires}&s={signature[:at]}{other_letter}{signature[at + 1 :]}"
    yield path
    yield f"{path}?x={int(expires) + 1}&s={signature}"
    yield f"{path}?x={expires}&s={signature[:-1]}"
    yield f"{path}?x={expires}&s={signature}0"
    yield f"{path}?x={expires}&s={signature[:-1]}é"
    yield f"{path}?x=never&s={signature}"
    yield f"{path}?x={'9' * 30}&s={signature}"
    yield f"{path}?x=%D9%A1{expires}&s={signature}"
    yield f"{path}?s={signature}"
    yield f"/v/{other}?{query}"
    yield f"/p/{path.removeprefix('/v/')}?{query}"  # signed for the clip, not for its poster


@pytest.mark.promise("M8")
def test_tampered_urls_are_refused(video, alice, client):
    client.force_login(alice)
    urls = list(tampered(signed_url(video.pk, alice), uuid.uuid4()))
    assert len(urls) > 50
    assert {client.get(url).status_code for url in urls} == {403}


@pytest.mark.promise("M8")
def test_expired_urls_are_refused(video, alice, client, settings):
    client.force_login(alice)
    settings.TIEBREAK_MEDIA_URL_SECONDS = 0.05
    expired = {make(video.pk, alice) for make in (signed_url, poster_url) for _ in range(10)}
    time.sleep(1.2)  # whole seconds stand in the URL
    assert {client.get(url).status_code for url in expired} == {403}


TRAVERSALS = [
    "..", "../..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd",
    "..%252f..%252fetc%252fpasswd", "....//....//etc/passwd", "..\\..\\etc\\passwd",
    "..%5c..%5cetc%5cpasswd", "/etc/passwd", "//etc/passwd", "%00", "%2fetc%2fpasswd", "file:///etc/passwd",
    "{pk}/../../manage.py", "{pk}%2f..%2f..", "{pk}.mp4", "{pk}%00.mp4", "{pk}/", "videos/aa/x.mp4",
]  # fmt: skip


@pytest.mark.promise("M8")
@pytest.mark.parametrize("path", TRAVERSALS)
def test_a_path_leads_nowhere(client, alice, video, path):
    client.force_login(alice)
    query = signed_url(video.pk, alice).split("?")[1]
    answer = client.get(f"/v/{path.format(pk=video.pk)}?{query}")
    assert answer.status_code == 404


@pytest.mark.promise("M8")
@pytest.mark.parametrize("kind", ["clip", "poster", "image"])
@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("member", 200),
        ("alice", 404),  # annotates, but not in this campaign
        ("charlie", 404),  # has no role
        ("former", 404),  # was in it
        ("lee", 200),
        ("mia", 200),
        ("olga", 200),
    ],
)
def test_who_may_see_the_media_of_a_campaign(
    request, client, campaign, video, bob, kind, name, status
):
    campaign.open_to_all = False
    campaign.save()
    campaign.members.add(bob)
    user = bob if name in {"member", "former"} else request.getfixturevalue(name)
    make, thing = {
        "clip": (signed_url, video),
        "poster": (poster_url, video),
        "image": (image_url, video.prompt.image),
    }[kind]
    url = make(thing.pk, user)
    if name == "former":
        campaign.members.clear()
    client.force_login(user)
    assert client.get(url).status_code == status


def test_clips_of_probes_and_of_guidelines_are_shown_to_annotators(
    client, alice, campaign, prompt, clips
):
    client.force_login(alice)
    probed, example, stray = (store_video(clip, prompt=prompt) for clip in clips[2:5])
    other = campaign.triplets.get().video_b
    Probe.objects.create(
        campaign=campaign, kind="gold", prompt=prompt, video_a=other, video_b=probed,
        expected={"VQ": "A"}, shuffle=1,
    )  # fmt: skip
    Guideline.objects.create(
        campaign=campaign,
        version=1,
        body={"examples": {"VQ": [{"video": str(example.pk), "good": True, "note": {}}]}},
    )
    found = [
        client.get(signed_url(each.pk, alice)).status_code for each in (probed, example, stray)
    ]
    assert found == [200, 200, 404]


def test_a_withdrawn_clip_is_shown_to_leads_alone(client, alice, lee, video):
    Video.objects.filter(pk=video.pk).update(withdrawn=True)
    for user, status in ((alice, 404), (lee, 200)):
        client.force_login(user)
        assert client.get(signed_url(video.pk, user)).status_code == status


def test_a_lost_file_is_gone(client, alice, video):
    client.force_login(alice)
    shown_path(video).unlink()
    assert client.get(signed_url(video.pk, alice)).status_code == 404


def test_the_poster_is_a_picture_of_its_own(client, alice, video):
    client.force_login(alice)
    answer = client.get(poster_url(video.pk, alice))
    assert answer["Content-Type"] == "image/jpeg"
    assert "immutable" in answer["Cache-Control"]
    assert body(answer).startswith(b"\xff\xd8\xff")
    assert media_storage().size(poster_key(video.sha256)) == int(answer["Content-Length"])


def test_the_reference_image_is_served_without_its_name(client, alice, video):
    client.force_login(alice)
    image = video.prompt.image
    answer = client.get(image_url(image.pk, alice))
    assert answer["Content-Type"] == "image/png"
    assert answer["Content-Disposition"] == f'inline; filename="{image.pk}.png"'
    assert body(answer).startswith(b"\x89PNG")
