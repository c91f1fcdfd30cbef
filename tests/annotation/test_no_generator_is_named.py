"""Annotators cannot learn which model made a clip (M7): no answer, header or file says it."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from annotation.campaigns import create_campaign, ensure_built_in_sets
from annotation.importing import create_triplets
from annotation.media.keeping import store_reference_image, store_video
from annotation.models import CampaignState, Generator, Prompt
from tests.annotation import hostile_media as hostile
from tests.promises import counts

pytestmark = pytest.mark.django_db
MODELS = (
    "Wan2.1-T2V", "HunyuanVideo", "CogVideoX", "LTX-Video", "Mochi-1", "OpenSora", "Kling", "Sora",
    "Runway-Gen3", "Pika", "MiniMax-Hailuo", "Luma-Ray",
)  # fmt: skip
# Names of models, and what encoders and tools of vendors write into files.
NAMED = re.compile(
    "|".join([*map(re.escape, MODELS), r"wan2", "hunyuan", "cogvideo", "x264", "Lavf", "Lavc",
              "ByteDance", "aliyun", "HandBrake", "generator-secret"]),
    re.IGNORECASE,
)  # fmt: skip
PAIRS = counts(6, 12, 46)
# What else an annotator opens; {pk} is the campaign.
PAGES = (
    "/", "/annotate/{pk}/", "/campaigns/{pk}/me/", "/campaigns/{pk}/guideline/", "/account/",
    "/api/campaigns/{pk}/scorecard", "/api/campaigns/{pk}/guideline", "/api/campaigns/{pk}/consent",
    "/api/campaigns", "/api/votes/mine?campaign={pk}",
)  # fmt: skip


@pytest.fixture
def campaign(tmp_path: Path, settings: Any) -> Any:
    """Twelve models, each with a clip whose name, path and metadata give it away."""
    ensure_built_in_sets()
    campaign = create_campaign("blind", "videoalign", state=CampaignState.OPEN)
    folder = Path(settings.RUNS_ROOT) / "1"
    folder.mkdir(parents=True)
    rows = []
    for number in range(PAIRS):
        picture = tmp_path / f"{MODELS[number % 12]}_{number}.png"
        notes = PngImagePlugin.PngInfo()
        notes.add_text("Software", MODELS[number % 12])
        Image.new("RGB", (40, 24), (number, 90, 9)).save(picture, pnginfo=notes)
        image = store_reference_image(picture)
        prompt = Prompt.objects.for_text(f"a red square, {number}", image)
        clips = [_clip(folder, MODELS[(2 * number + side) % 12], prompt, side) for side in (0, 1)]
        rows.append((prompt, *clips))
    create_triplets(campaign, rows)
    return campaign


def _clip(folder: Path, model: str, prompt: Prompt, side: int) -> Any:
    path = folder / f"{model}_{prompt.pk}_{side}.mp4"
    hostile.clip(path, codec="libx264" if side else "mpeg4", side=64 + 16 * prompt.pk % 64)
    signed = path.with_suffix(".signed.mp4")
    hostile.box(b"udta", model.encode())
    shutil.copy(path, signed)
    with signed.open("ab") as file:
        file.write(hostile.box(b"free", f"made by {model}, generator-secret".encode()))
    maker, _ = Generator.objects.get_or_create(name=model)
    return store_video(
        signed, prompt=prompt, generator=maker, seed=7, original_path=f"{model}/{path.name}"
    )


# Django's token against forged requests: chance makes it, and has named a model with four letters.
CSRF_TOKEN = re.compile(r"(?:csrfmiddlewaretoken\" value=|X-CSRFToken\": )\"[A-Za-z0-9]{64}\"")


def said(answer: Any) -> str:
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    text = CSRF_TOKEN.sub("", head + "\n" + body.decode("latin-1"))
    for nonce in re.findall(r"'nonce-([^']+)'", head):
        text = text.replace(nonce, "")
    return text


def test_the_names_would_be_found() -> None:
    assert all(NAMED.search(model) for model in MODELS)


def test_only_the_token_of_a_page_is_left_out_of_the_search(alice: Any, annotator: Any) -> None:
    page = annotator(alice).get("/")
    tokens = re.findall(r"[A-Za-z0-9]{64}", page.content.decode())
    assert tokens
    assert not re.search(r"[A-Za-z0-9]{64}", said(page))
    left = page.content.decode("latin-1")
    for found in CSRF_TOKEN.findall(left):
        left = left.replace(found, "")
    assert left in said(page)


@pytest.mark.promise("M7")
def test_no_page_no_answer_and_no_file_names_a_model(
    campaign: Any, alice: Any, annotator: Any, figures: Any
) -> None:
    person = annotator(alice)
    files: set[str] = set()
    answers = []
    for _ in range(2 * PAIRS):  # now and then an own earlier pair comes again
        given = person.post(f"/api/campaigns/{campaign.pk}/next", {"tab": person.tab})
        body = given.json()
        if body.get("empty"):
            break
        files |= {body[side][what] for side in ("left", "right") for what in ("url", "poster")}
        files.add(body["prompt"]["image"]["url"])
        answers += [given, person.vote(body)]
        answers += [person.get(page.format(pk=campaign.pk)) for page in PAGES]
    assert {answer.status_code for answer in answers} == {200}
    pages = len(answers)
    assert len(files) == 5 * PAIRS
    for url in sorted(files):
        fetched = person.get(url)
        assert fetched.status_code == 200
        answers.append(fetched)
        assert not NAMED.search(url)
    for answer in answers:
        found = NAMED.search(said(answer))
        assert found is None, (answer.request["PATH_INFO"], found)
    figures("M7", pages=pages, files=len(files), hits=0)


@pytest.mark.promise("M7")
def test_the_size_of_a_copy_does_not_tell_how_the_original_was_encoded(campaign: Any) -> None:
    """Both ways write the same boxes in the same order, filled up to the same steps."""
    from annotation.media.keeping import shown_path
    from annotation.models import Video

    copies = [shown_path(video).read_bytes() for video in Video.objects.all()]
    layouts = {tuple(kind for kind, _ in hostile.boxes(copy)) for copy in copies}
    assert layouts in (
        {(b"ftyp", b"moov", b"mdat", b"free")},
        {(b"ftyp", b"moov", b"free", b"mdat", b"free")},
    )
    assert {len(copy) % (64 << 10) for copy in copies} == {0}
