"""Runs on image-to-video generators: what is trained and sampled begins with the start image."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from formats.errors import FormatError
from formats.files import sha256_of
from formats.records import GenerationRecord, ImageRef, PairRecord, PromptRecord
from formats.run_dir import Input, RunDir
from formats.supervised import BadConfigError, Supervised
from models_align.config import AlignmentConfig
from models_align.data import PairData
from models_align.encoding import ClipEncoder
from models_align.errors import PromptTooLongError
from models_align.generators.families import load_generator
from models_align.images import noised_image, read_image
from models_align.latents import TensorCache
from models_align.sampling import sample
from models_align.training import train
from models_align.video import read_clip
from tests.models_align.families import PROMPT, some_clips

Folder = Callable[[str], Path]
SMALL = {"steps": 2, "guidance_scale": 2.0, "height": 32, "width": 32, "num_frames": 9, "fps": 8,
         "batch": 2, "generator": "tiny"}  # fmt: skip


@pytest.mark.parametrize(
    ("form", "config"),
    [
        # Shifted so far to the noise that each step asks both networks.
        ("wan-2.2-i2v", {"timesteps": {"distribution": "shifted", "shift": 9.0}, "steps": 6}),
        ("wan-2.1-i2v", {"method": "sft"}),
        ("cogvideox-1.5-5b-i2v", {"method": "gapo"}),
    ],
)
def test_training_begins_at_ln_2_and_reaches_every_network(
    form: str, config: dict, tiny_form: Folder, family_run: Callable[..., RunDir], read_logs
):
    run = family_run("run", tiny_form(form), config, images=True)
    train(Supervised(run))
    values = read_logs(run)[0]
    if config.get("method") != "sft":
        assert values["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert values["winner_drift"] == values["loser_drift"] == 0.0
    files = sorted((run.outputs / "adapter").rglob("*.safetensors"))
    assert len(files) == len(load_generator(tiny_form(form)).networks)
    for file in files:
        moved = {name: each.abs().max() for name, each in load_file(file).items()}
        assert all(name.startswith("transformer.") for name in moved)
        assert any(value > 0 for name, value in moved.items() if "lora_B" in name)


def test_a_pair_is_conditioned_on_its_start_image_and_without_one_on_the_winners_first_frame(
    tmp_path: Path, tiny_form: Folder, family_run: Callable[..., RunDir]
):
    generator = load_generator(tiny_form("wan-2.1-i2v"))
    conditions = {}
    for images in (True, False):
        run = family_run(f"run-{images}", tiny_form("wan-2.1-i2v"), {}, images=images)
        pairs = PairRecord.read(run.input("pairs"))
        cache = TensorCache(tmp_path / f"cache-{images}", 2**20)
        config = AlignmentConfig(pairs_per_step=2)
        data = PairData(pairs, run.media_root(), generator, cache, config)
        data.encode(lambda _done, _total: None)
        plan = data.plan(0)
        order = [place.pair for place in plan.places]
        batch = data.batch(plan)
        if images:
            starts = torch.stack([some_clips(1, seed=n)[0, 0] for n in order])
        else:
            chosen = [tmp_path / "media" / pairs[n].chosen.path for n in order]
            starts = torch.stack([read_clip(each)[0] for each in chosen])
        wanted = generator.encode_start(starts, 9)
        assert wanted is not None
        assert batch.condition is not None
        for name in ("latents", "image"):
            assert torch.allclose(batch.condition[name], wanted[name], atol=1e-5)
        conditions[images] = batch.condition
    assert not torch.allclose(conditions[True]["image"], conditions[False]["image"])


def test_noise_on_start_images_is_the_winners_own_and_the_losers_own_and_comes_from_the_step(
    tmp_path: Path, tiny_form: Folder, family_run: Callable[..., RunDir], read_logs
):
    """AniSora's recipe: 0.05 on a scale of -1..1 is 6 levels of 255."""
    folder = tiny_form("cogvideox-5b-i2v")
    config = {"start_noise": 0.05, "noise_draws": 2, "reference": "cached", "steps": 3}
    run = family_run("run", folder, config, images=True)
    train(Supervised(run))
    values = read_logs(run)[0]
    assert values["loss"] == pytest.approx(math.log(2), abs=1e-6)
    # The cached reference saw the noise that the policy sees.
    assert values["winner_drift"] == pytest.approx(0, abs=1e-7)

    generator = load_generator(folder)
    data = PairData(
        PairRecord.read(run.input("pairs")), run.media_root(), generator,
        TensorCache(tmp_path / "cache", 2**20), AlignmentConfig(pairs_per_step=2, start_noise=0.05),
    )  # fmt: skip
    data.encode(lambda _done, _total: None)
    first, again, second = (data.batch(data.plan(step)) for step in (0, 0, 1))
    for each in (first, again, second):
        assert each.condition is not None
        assert each.condition_l is not None
    clean = data.encoder.start(data.pairs[data.plan(0).places[0].pair].chosen,
                               data.pairs[data.plan(0).places[0].pair].image)  # fmt: skip
    gaps = [(each["latents"][0] - clean["latents"]).abs().max().item()
            for each in (first.condition, first.condition_l)]  # fmt: skip
    assert min(gaps) > 0
    assert torch.equal(first.condition["latents"], again.condition["latents"])
    assert not torch.equal(first.condition["latents"], first.condition_l["latents"])


def test_the_strength_of_the_noise_is_drawn_around_its_median():
    grey = torch.full((64, 64, 3), 128, dtype=torch.uint8)
    chance = torch.Generator().manual_seed(0)
    strengths = torch.stack(
        [(noised_image(grey, 0.05, chance).float() - 128).std() / 127.5 for _ in range(200)]
    )
    assert strengths.median().item() == pytest.approx(0.05, rel=0.1)
    assert strengths.log().std().item() == pytest.approx(0.5, abs=0.08)


def test_an_image_of_another_size_is_cut_in_the_middle_and_resized(
    tmp_path: Path, tiny_form: Folder, family_run: Callable[..., RunDir]
):
    run = family_run("run", tiny_form("wan-2.1-i2v"), {})
    pair = PairRecord.read(run.input("pairs"))[0]
    wide = torch.zeros(64, 128, 3, dtype=torch.uint8)
    wide[:, 32:96] = 255  # what is kept
    Image.fromarray(wide.numpy()).save(run.media_root() / "wide.png")
    image = ImageRef("wide.png", sha256_of(run.media_root() / "wide.png"))
    generator = load_generator(tiny_form("wan-2.1-i2v"))
    encoder = ClipEncoder(generator, TensorCache(tmp_path / "cache", 2**20), run.media_root())
    wanted = generator.encode_start(torch.full((1, 32, 32, 3), 255, dtype=torch.uint8), 9)
    assert wanted is not None
    assert torch.allclose(encoder.start(pair.chosen, image)["latents"], wanted["latents"][0])


def image_prompts(folder: Path, *, texts: tuple[str, ...] = (PROMPT, PROMPT)) -> list[PromptRecord]:
    """Prompts of which each has a start image of its own."""
    prompts = []
    for number, text in enumerate(texts):
        path = folder / f"start-{number}.png"
        Image.fromarray(some_clips(1, seed=number)[0, 0].numpy()).save(path)
        ref = ImageRef(path.name, sha256_of(path))
        prompts.append(PromptRecord(f"p{number}", text, image=ref))
    return prompts


def prepared(tmp_path: Path, name: str, generator: Path, prompts: list[PromptRecord],
             **config: object) -> RunDir:  # fmt: skip
    file = tmp_path / f"{name}.jsonl"
    inputs = {"prompts": Input(str(file), PromptRecord.write(file, prompts)),
              "generator": Input(str(generator))}  # fmt: skip
    run = RunDir(tmp_path / name)
    run.prepare({**SMALL, **config}, inputs, media_root=tmp_path)
    return run


def records(run: RunDir) -> list[GenerationRecord]:
    return GenerationRecord.read(run.outputs / "generations" / "generations.jsonl")


@pytest.mark.parametrize("form", ["wan-2.1-i2v", "wan-2.2-ti2v-image", "cogvideox-5b-i2v"])
def test_a_clip_begins_with_the_image_of_its_prompt(form: str, tmp_path: Path, tiny_form: Folder):
    prompts = image_prompts(tmp_path)
    run = prepared(tmp_path, "both", tiny_form(form), prompts)
    sample(Supervised(run))
    first, second = records(run)
    assert [each.image for each in (first, second)] == [each.image for each in prompts]
    # One text, one seed, so one noise: the image alone makes the difference.
    assert first.video.sha256 != second.video.sha256
    assert first.measures["motion"] >= 0
    alone = prepared(tmp_path, "alone", tiny_form(form), prompts[1:])
    sample(Supervised(alone))
    assert records(alone)[0].video == second.video


def test_sizes_of_0_are_the_generators_own(tmp_path: Path, tiny_form: Folder):
    own = dict.fromkeys(("height", "width", "num_frames", "fps"), 0)
    run = prepared(tmp_path, "own", tiny_form("cogvideox-2b"), [PromptRecord("p", PROMPT)], **own)
    sample(Supervised(run))
    (record,) = records(run)
    assert (record.video.num_frames, record.video.fps) == (9, 8.0)
    assert read_clip(run.outputs / "generations" / record.video.path).shape == (9, 32, 32, 3)


def test_a_run_in_bfloat16_makes_nearly_the_same_clip(tmp_path: Path, tiny_form: Folder):
    frames = {}
    for precision in ("float32", "bfloat16"):
        run = prepared(tmp_path, precision, tiny_form("wan-2.1-t2v"), [PromptRecord("p", PROMPT)],
                       precision=precision)  # fmt: skip
        sample(Supervised(run))
        path = run.outputs / "generations" / records(run)[0].video.path
        frames[precision] = read_clip(path).float()
    gap = (frames["float32"] - frames["bfloat16"]).abs().mean().item()
    assert 0 < gap < 10


def test_what_a_start_image_cannot_be_is_said_before_the_first_clip(
    tmp_path: Path, tiny_form: Folder
):
    folder = tiny_form("wan-2.1-i2v")
    bare = prepared(tmp_path, "bare", folder, [*image_prompts(tmp_path), PromptRecord("x", PROMPT)])
    with pytest.raises(BadConfigError, match="needs a start image, and the prompt 'x' has none"):
        sample(Supervised(bare))
    long = image_prompts(tmp_path, texts=(PROMPT, "a red circle " * 9))
    with pytest.raises(PromptTooLongError, match="shorten it"):
        sample(Supervised(prepared(tmp_path, "long", folder, long)))
    changed = prepared(tmp_path, "changed", folder, image_prompts(tmp_path), batch=1)
    Image.new("RGB", (32, 32)).save(tmp_path / "start-1.png")
    with pytest.raises(FormatError, match=r"start-1.png: the start image has changed"):
        sample(Supervised(changed))
    (tmp_path / "start-1.png").unlink()
    with pytest.raises(FormatError, match=r"start-1.png: the start image is not there"):
        sample(Supervised(changed))
    (tmp_path / "start-1.png").write_bytes(b"broken")
    with pytest.raises(FormatError, match=r"start-1.png: the start image cannot be read"):
        read_image(tmp_path / "start-1.png")
    assert not list(tmp_path.glob("*/outputs/generations/clips/*.mp4"))
