"""How the work of a step is cut up changes nothing of what it comes to."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from demo.tiny_generator import TinySize, build_pipeline
from formats.errors import FormatError
from formats.files import sha256_of
from formats.records import PairRecord, VideoRef
from formats.run_dir import Input, MetricLine, RunDir
from formats.supervised import BadConfigError, Supervised
from models_align import reference
from models_align.adapters import add_adapter, trainable_parameters
from models_align.chance import batches_of_buckets, visits_of_step
from models_align.config import AlignmentConfig
from models_align.data import PairData, training_pairs
from models_align.generators.families import load_generator
from models_align.latents import TensorCache
from models_align.policy import both_errors
from models_align.training import prepared, train
from models_align.video import read_clip, write_clip
from trainers.world import ALONE

# Sums of float32 in another order: micro-batches, slices.
CLOSE = 2e-5

Weights = dict[str, torch.Tensor]


def trained(run: RunDir) -> tuple[Weights, list[MetricLine]]:
    train(Supervised(run))
    lines = [line for line in run.metrics_from(0)[0] if line.stage == "training"]
    return load_file(run.outputs / "adapter" / "pytorch_lora_weights.safetensors"), lines


def furthest(a: Weights, b: Weights) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def paired(generator: Any, file: Path, folder: Path, **config: Any) -> PairData:
    cache = TensorCache(folder / "cache", 2**28)
    settings = AlignmentConfig.from_json({"steps": 12, "pairs_per_step": 4, **config})
    data = PairData(training_pairs(file), folder / "media", generator, cache, settings)
    data.encode(lambda _done, _total: None)
    return data


def test_micro_batches_equal_one_batch(alignment_run, write_pairs):
    pairs = write_pairs()
    config = {"pairs_per_step": 4, "lr": 1e-3}
    whole, lines = trained(alignment_run("whole", config, pairs))
    parts, lines_of_parts = trained(alignment_run("parts", {**config, "micro_pairs": 3}, pairs))
    assert furthest(whole, parts) < CLOSE
    assert lines_of_parts[-1].values == pytest.approx(lines[-1].values, abs=1e-4, rel=1e-4)


def test_gradient_checkpointing_changes_no_bit(alignment_run, write_pairs):
    pairs = write_pairs()
    config = {"lora": {"r": 2, "alpha": 4, "dropout": 0.2}}
    plain, _ = trained(alignment_run("plain", config, pairs))
    again, _ = trained(alignment_run("again", {**config, "gradient_checkpointing": True}, pairs))
    assert furthest(plain, again) == 0


def test_a_reference_that_is_computed_once_equals_one_of_each_step(
    alignment_run, write_pairs, monkeypatch
):
    pairs, asked = write_pairs(), []
    original = reference.reference_errors

    def counted(generator: Any, batch: Any) -> Any:
        asked.append(len(batch.t))
        return original(generator, batch)

    monkeypatch.setattr(reference, "reference_errors", counted)
    config = {"noise_draws": 2, "steps": 6, "pairs_per_step": 2, "caption_dropout": 0.3}
    each, _ = trained(alignment_run("each", config, pairs))
    assert not asked
    once, _ = trained(alignment_run("once", {**config, "reference": "cached"}, pairs))
    assert asked == [2] * 4  # four pairs with two draws each, and never again
    assert furthest(each, once) == 0


def test_an_interrupted_table_of_the_reference_goes_on_where_it_was(alignment_run, write_pairs):
    pairs = write_pairs()
    config = {"noise_draws": 2, "reference": "cached", "pairs_per_step": 2, "steps": 2}
    whole, _ = trained(alignment_run("whole", config, pairs))
    broken = alignment_run("broken", config, pairs)

    class Stopped(Exception):
        pass

    class StopsInTheTable(Supervised):
        def check(self, save: Any = None) -> None:
            if save is not None:
                save()
                raise Stopped

    with pytest.raises(Stopped):
        train(StopsInTheTable(broken))
    shape = (4, 2, 2)
    tables = [load_file(file) for file in (broken.root / "cache").glob("*.safetensors")]
    (table,) = [each["errors"] for each in tables if "errors" in each]
    assert table.shape == shape
    assert int(table.isfinite().sum()) == 4  # one batch of two places
    again, _ = trained(broken)
    assert furthest(whole, again) == 0


def test_one_pair_alone_equals_the_same_pair_among_others(tiny_wan, write_pairs, tmp_path):
    data = paired(tiny_wan, write_pairs(), tmp_path)
    add_adapter(tiny_wan, data.config)
    for parameter in trainable_parameters(tiny_wan).values():
        torch.nn.init.normal_(parameter, std=0.05)
    plan = data.plan(0)
    together = both_errors(tiny_wan, data.batch(plan))
    alone = [both_errors(tiny_wan, data.batch(plan, slice(n, n + 1))) for n in range(4)]
    for number, name in enumerate(together._fields):
        parts = torch.cat([each[number] for each in alone])
        assert torch.allclose(parts, together[number], atol=1e-6), name
    assert (together.policy_w != together.reference_w).all()


def test_the_overlap_is_the_mean_product_of_the_mistakes(tiny_wan, write_pairs, tmp_path):
    data = paired(tiny_wan, write_pairs(), tmp_path)
    add_adapter(tiny_wan, data.config)
    batch = data.batch(data.plan(0))
    errors = both_errors(tiny_wan, batch)
    process, mistakes = tiny_wan.process, []
    with torch.no_grad():
        for clips in (batch.winners, batch.losers):
            x_t = process.noised(clips, batch.noise, batch.t)
            target = process.target(clips, batch.noise, batch.t)
            mistakes.append(tiny_wan.velocity(x_t, batch.t, batch.text) - target)
    wanted = (mistakes[0] * mistakes[1]).flatten(1).mean(1)
    assert torch.allclose(errors.overlap, wanted, atol=1e-6)
    assert not errors.overlap.requires_grad


def test_bfloat16_computes_in_halves_and_learns_in_float32(alignment_run, write_pairs):
    pairs = write_pairs()
    config = {"pairs_per_step": 4, "steps": 8, "lr": 2e-3}
    full, lines = trained(alignment_run("full", config, pairs))
    half, lines_of_half = trained(alignment_run("half", {**config, "precision": "bfloat16"}, pairs))
    assert {each.dtype for each in half.values()} == {torch.float32}
    # Adapter on and off go the same way through the same roundings.
    assert lines_of_half[0].values["z_max"] == 0
    # bfloat16 keeps 8 bits: errors of about 1 to about a percent.
    assert lines_of_half[-1].values["loss"] == pytest.approx(lines[-1].values["loss"], abs=0.05)
    assert 0 < furthest(full, half) < 0.05


# Buckets


@pytest.fixture
def pairs_of_two_sizes(write_pairs, tmp_path: Path) -> Path:
    """Three pairs of 9 frames, and two of 5."""
    file = write_pairs(5)
    pairs = PairRecord.read(file)
    for number in (3, 4):
        for side in ("chosen", "rejected"):
            ref: VideoRef = getattr(pairs[number], side)
            path = tmp_path / "media" / ref.path
            write_clip(path, read_clip(path)[:5].numpy(), fps=8)
            short = VideoRef(ref.id, ref.path, sha256_of(path), fps=8.0, num_frames=5)
            object.__setattr__(pairs[number], side, short)
    PairRecord.write(file, pairs)
    return file


@pytest.fixture(scope="module")
def any_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of clips of any size; the tiny one of the demo has places for one size."""
    from diffusers import WanTransformer3DModel

    size = TinySize(z_dim=6, heads=1, layers=1, ffn=32, text_dim=16, text_tokens=32)
    pipeline = build_pipeline(size, ["a red circle moving left", "two blue bars"], seed=0)
    config = {k: v for k, v in pipeline.transformer.config.items() if k != "grid"}
    pipeline.register_modules(transformer=WanTransformer3DModel.from_config(config))
    folder = tmp_path_factory.mktemp("any-size")
    pipeline.save_pretrained(str(folder))
    return folder


def test_pairs_of_several_sizes_train_in_one_run(
    alignment_run, pairs_of_two_sizes, any_size, tmp_path
):
    config = {"pairs_per_step": 2, "steps": 5, "noise_draws": 2, "reference": "cached"}
    run = alignment_run("run", config, pairs_of_two_sizes)
    inputs = {"pairs": Input(str(pairs_of_two_sizes)), "generator": Input(str(any_size))}
    run.prepare(run.config() | {"schema": "config/1"}, inputs, media_root=run.media_root())
    data = paired(load_generator(any_size), pairs_of_two_sizes, tmp_path, **config)
    assert [sorted(bucket) for bucket in data.buckets] == [[3, 4], [0, 1, 2]]
    seen: Counter[int] = Counter()
    for step in range(5):
        places = [each.pair for each in data.plan(step).places]
        assert len({tuple(data.batch(data.plan(step)).winners.shape[1:])}) == 1
        assert {each >= 3 for each in places} in ({True}, {False})
        seen.update(places)
    assert set(seen.values()) == {2}
    _, lines = trained(run)
    assert [line.step for line in lines] == [1, 2, 3, 4, 5]
    assert lines[0].values["z_max"] == pytest.approx(0, abs=1e-4)


def test_clips_of_one_pair_must_have_one_size(pairs_of_two_sizes, any_size, tmp_path):
    pairs = PairRecord.read(pairs_of_two_sizes)
    object.__setattr__(pairs[0], "rejected", pairs[4].rejected)
    PairRecord.write(pairs_of_two_sizes, pairs)
    with pytest.raises(FormatError, match="the clips of the pair pair-0 must have one size"):
        paired(load_generator(any_size), pairs_of_two_sizes, tmp_path)


def test_buckets_are_taken_in_proportion_to_their_pairs():
    counts = [70, 20, 10]
    order = batches_of_buckets(counts, 100)
    assert Counter(bucket for bucket, _ in order) == {0: 70, 1: 20, 2: 10}
    for steps in range(1, 101):
        taken = Counter(bucket for bucket, _ in order[:steps])
        assert all(abs(taken[k] - steps * n / 100) < 1 for k, n in enumerate(counts))
    assert [number for bucket, number in order if bucket == 1] == list(range(20))
    assert batches_of_buckets(counts, 40) == order[:40]


def test_each_pair_takes_its_fixed_draws_in_turn(tiny_wan, write_pairs, tmp_path):
    data = paired(tiny_wan, write_pairs(), tmp_path, noise_draws=2, pairs_per_step=4)
    first, second, third = (data.plan(step) for step in range(3))
    assert {each.draw for each in first.places} == {0}
    assert {each.draw for each in second.places} == {1}

    def of_pair_one(plan: Any) -> tuple[torch.Tensor, torch.Tensor]:
        row = [each.pair for each in plan.places].index(1)
        return plan.facts.t[row], data.batch(plan).noise[row]

    assert torch.equal(of_pair_one(first)[1], of_pair_one(third)[1])
    assert of_pair_one(first)[0] == of_pair_one(third)[0]
    assert not torch.equal(of_pair_one(first)[1], of_pair_one(second)[1])
    fresh = paired(tiny_wan, tmp_path / "pairs.jsonl", tmp_path)
    assert not torch.equal(of_pair_one(fresh.plan(0))[1], of_pair_one(fresh.plan(2))[1])


def test_visits_count_the_epochs():
    visits = [each for step in range(4) for each in visits_of_step(3, 2, step, 0)]
    assert sorted(visits[:3]) == [(0, 0), (1, 0), (2, 0)]
    assert sorted(visits[3:6]) == [(0, 1), (1, 1), (2, 1)]


def test_what_only_encodes_gives_its_memory_back_before_the_first_step(alignment_run):
    run = Supervised(alignment_run("run", {}))
    trainer = prepared(run, AlignmentConfig.from_json(run.dir.config()), ALONE)
    pipeline = trainer.generator.pipeline
    encoders = [*pipeline.text_encoder.parameters(), *pipeline.vae.parameters()]
    assert {each.device.type for each in encoders} == {"meta"}
    assert "meta" not in {each.device.type for each in pipeline.transformer.parameters()}
    assert trainer.learn()["loss"] == pytest.approx(math.log(2))


def test_a_network_that_cannot_checkpoint_is_refused(alignment_run, monkeypatch):
    from models_align.generators.tiny_wan import TinyWanTransformer

    monkeypatch.setattr(TinyWanTransformer, "_supports_gradient_checkpointing", False)
    run = alignment_run("run", {"gradient_checkpointing": True})
    with pytest.raises(BadConfigError, match="gradient_checkpointing: a TinyWanTransformer cannot"):
        train(Supervised(run))
