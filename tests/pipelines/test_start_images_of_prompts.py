"""The start image of a prompt goes with it: from the campaign to prompts, clips, pairs, figures."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from annotation.media.keeping import store_reference_image
from annotation.models import Prompt, ReferenceImage
from formats.errors import FormatError
from formats.records import GenerationRecord, ImageRef, ScoreRecord, VideoRef
from formats.snapshot import read_snapshot
from pipelines.evaluation import judged
from pipelines.materialising import media_of
from pipelines.models import BaseModel
from pipelines.pairing import PairingConfig, pairs_from_scores, pairs_from_votes
from pipelines.registry import path_of
from pipelines.splitting import Split
from pipelines.start_images import image_ref, prompt_row
from pipelines.starting import start_run
from pipelines.suites.shelf import campaign_prompts, with_split
from tests.pipelines.loop_world import make_campaign, play

TEXT = "a red cat waves"


@pytest.fixture
def image(db: None, tmp_path: Path) -> ReferenceImage:
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "first.png")
    return store_reference_image(tmp_path / "first.png")


@pytest.fixture
def campaign(image: ReferenceImage) -> Any:
    """Pairs of one prompt, which starts from the image."""
    made = make_campaign(pairs=2)
    Prompt.objects.update(image=image)
    return made


def _clip(name: str, image: ImageRef | None, seed: int = 0) -> GenerationRecord:
    video = VideoRef(name, f"clips/{name}.mp4", name * 8, 8.0, 9, "base", seed)
    return GenerationRecord("p1", TEXT, "train", video, image=image)


def test_prompts_of_a_campaign_name_their_images(campaign: Any, image: ReferenceImage) -> None:
    found = campaign_prompts(campaign)
    assert {each.image for each in found} == {ImageRef(image.file, image.sha256)}
    sides = [with_split(found, Split(), side) for side in ("train", "validation", "test")]
    kept = [each for side in sides for each in side]
    assert len(kept) == len(found)
    assert all(each.image is not None for each in kept)


def test_a_snapshot_names_them_and_pairs_of_people_too(
    campaign: Any, image: ReferenceImage
) -> None:
    snapshot = play(start_run("snapshot", {"campaign": campaign.pk}, user=None)).artifacts.get()
    records = read_snapshot(path_of(snapshot)).records
    assert {each.image for each in records} == {image_ref(image)}
    split = next(each.split for each in records if each.labels)
    pairs = pairs_from_votes(records, PairingConfig(split=split)).pairs
    assert pairs
    assert {each.image for each in pairs} == {image_ref(image)}


def test_a_run_asks_for_them_on_its_machine(campaign: Any, image: ReferenceImage) -> None:
    generator = BaseModel.objects.create(name="i2v", role="generator", source="none/such")
    run = start_run(
        "generation", {}, {"generator": generator}, user=None,
        files={"prompts": campaign_prompts(campaign)},
    )  # fmt: skip
    assert {each.path for each in media_of(run)} == {image.file}
    snapshot = play(start_run("snapshot", {"campaign": campaign.pk}, user=None)).artifacts.get()
    base = BaseModel.objects.create(name="vlm", role="vlm", source="none/such")
    learning = start_run("reward_model", {}, {"snapshot": snapshot, "backbone": base}, user=None)
    assert image.file in {each.path for each in media_of(learning)}


def test_a_generated_clip_belongs_to_the_prompt_with_its_image(image: ReferenceImage) -> None:
    ref = image_ref(image)
    assert prompt_row(TEXT, ref) != prompt_row(TEXT, None)
    assert prompt_row(TEXT, ref).image == image
    with pytest.raises(FormatError, match=r"'images/no' of the prompt 'a red cat waves' is not in"):
        prompt_row(TEXT, ImageRef("images/no", "0" * 64))


def test_best_and_worst_keep_the_image_of_their_prompt() -> None:
    ref = ImageRef("images/ab", "ab" * 32)
    clips = [_clip(name, ref, seed) for seed, name in enumerate(("one", "two"))]
    scores = [
        ScoreRecord(name, "p1", TEXT, score={"motion": value})
        for name, value in (("one", 0.2), ("two", 0.9))
    ]
    (pair,) = pairs_from_scores(clips, scores, PairingConfig()).pairs
    assert (pair.chosen.id, pair.image) == ("two", ref)


def test_one_text_with_two_images_is_two_prompts_for_the_figures() -> None:
    refs = [ImageRef(f"images/{name}", name * 32) for name in ("ab", "cd")]
    clips = [_clip("one", refs[0]), _clip("two", refs[1])]
    scores = [ScoreRecord(name, "p1", TEXT, score={"motion": 1.0}) for name in ("one", "two")]
    assert len(judged(clips, scores).scores) == 2
    with pytest.raises(FormatError, match="two clips of one generator have prompt"):
        judged([_clip("one", refs[0]), _clip("two", refs[0])], scores)
