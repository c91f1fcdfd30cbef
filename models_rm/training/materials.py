"""What a training run works on, read and built before its first step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from formats.errors import FormatError
from formats.files import sha256_of
from formats.records import PreferenceRecord
from formats.snapshot import Snapshot, read_snapshot
from formats.supervised import BadConfigError, Supervised
from models_rm.backbones.families import Family
from models_rm.backbones.loading import load_backbone
from models_rm.backbones.registry import adapter_of
from models_rm.clips.frame_cache import FrameCache
from models_rm.clips.video import FrameRule
from models_rm.config import ConfigError, RewardModelConfig
from models_rm.networks.attention import use_for_vision
from models_rm.networks.network import RewardNetwork
from models_rm.networks.prompts import RatingTemplate
from models_rm.preferences.data import Clips, Pairs, pairs_of
from models_rm.preferences.leakage import refuse_leaks
from models_rm.preferences.targets import refuse_useless, refuse_without_judgements, tie_rates
from models_rm.preferences.unreadable import REPORT, Readable, readable
from models_rm.reward_models import checkpoints
from trainers.world import World


@dataclass(frozen=True, slots=True)
class Materials:
    """What a run works on, all of it fixed before the first step."""

    config: RewardModelConfig
    snapshot: Snapshot
    snapshot_sha256: str
    splits: dict[str, Pairs]
    clips: Clips
    unreadable: dict[str, int]  # clips and pairs that were left out
    source: str  # of the backbone
    network: RewardNetwork
    tokenizer: Any
    template: RatingTemplate
    rule: FrameRule


def gather(
    run: Supervised, config: RewardModelConfig, world: World, *, frames: Path | None = None
) -> Materials:
    """Read the inputs of a run and build its network; what cannot work is named here."""
    folder = run.dir.input("snapshot")
    snapshot = chosen_dimensions(read_snapshot(folder), config)
    refuse_without_judgements(snapshot, config)
    refuse_leaks(snapshot.records, folder / "preferences.jsonl")
    refuse_without_images(snapshot, config, folder / "preferences.jsonl")
    source = str(run.dir.input("backbone"))
    backbone, tokenizer = load_backbone(source, config.dtype)
    rule = frame_rule(adapter_of(backbone.config).family(backbone.config), config)
    cache = FrameCache.of_run(frames or run.dir.root, config.cache_megabytes)
    clips = Clips(run.dir.media_root(), rule, cache)
    found = _readable(run, snapshot, clips, config, world)
    kept = part_of_training(found.records, config.data_fraction, config.seed)
    snapshot = replace(snapshot, records=kept)
    splits = _splits(snapshot, config)
    if not len(splits["train"]):
        lost = f" that can be read: {found.first_error}" if found.clips_lost else ""
        raise FormatError(f"the snapshot has no pair in its train split{lost}", path=folder)
    refuse_useless(splits["train"], config)
    config = config.for_pairs(len(splits["train"]))
    network, template = _built(backbone, snapshot, config)
    network.thetas.start_at(tie_rates(splits["train"], config))
    network.start_tokens_as(tokenizer(":", add_special_tokens=False)["input_ids"][0])
    network.to(world.device).train()
    return Materials(
        config=config,
        snapshot=snapshot,
        snapshot_sha256=sha256_of(folder / "manifest.json"),
        splits=splits,
        clips=clips,
        unreadable=found.counts(),
        source=source,
        network=network,
        tokenizer=tokenizer,
        template=template,
        rule=rule,
    )


def rebuilt(materials: Materials, world: World) -> RewardNetwork:
    """The network of a run once more, as its backbone has it: nothing is learned in it yet."""
    backbone, _ = load_backbone(materials.source, materials.config.dtype)
    network, _ = _built(backbone, materials.snapshot, materials.config)
    return network.to(world.device)


def _built(
    backbone: Any, snapshot: Snapshot, config: RewardModelConfig
) -> tuple[RewardNetwork, RatingTemplate]:
    network, template = checkpoints.build_network(backbone, snapshot.dimensions, config)
    use_for_vision(network.backbone.visual)
    return network, template


def chosen_dimensions(snapshot: Snapshot, config: RewardModelConfig) -> Snapshot:
    """The snapshot with the dimensions that the config trains; BadConfigError where they do not
    fit. What was said on the others is not looked at."""
    try:
        if config.dimensions:
            dimensions = snapshot.dimensions.only(config.dimensions)
            snapshot = replace(snapshot, dimensions=dimensions)
        config.check_for(snapshot.dimensions.keys)
    except (ConfigError, FormatError) as error:
        raise BadConfigError(str(error)) from error
    return snapshot


def refuse_without_images(snapshot: Snapshot, config: RewardModelConfig, path: Path) -> None:
    """A model that looks at start images learns from pairs that have one, all of them."""
    if config.start_image != "prepend":
        return
    without = [each for each in snapshot.records if each.image is None]
    if without:
        raise FormatError(
            f"start_image 'prepend' needs the start image of every pair, and {len(without)} of "
            f"{len(snapshot.records)} pairs have none, the first of them {without[0].pair_id!r}; "
            "set start_image to 'ignore'",
            path=path,
        )


def part_of_training(
    records: Sequence[PreferenceRecord], fraction: float, seed: int
) -> list[PreferenceRecord]:
    """The records with a share of the training prompts, at least one; other splits stay whole.

    Prompts come in an order that the seed decides, so that a smaller share lies inside a larger.
    """
    prompts = {each.prompt for each in records if each.split == "train"}
    order = sorted(prompts, key=lambda text: sha256(f"{seed}\n{text}".encode()).digest())
    kept = set(order[: math.ceil(fraction * len(order))])
    return [each for each in records if each.split != "train" or each.prompt in kept]


def _readable(
    run: Supervised,
    snapshot: Snapshot,
    clips: Clips,
    config: RewardModelConfig,
    world: World,
) -> Readable:
    """Decode all clips once, before the first step; what cannot be read leaves the run."""

    def say(done: int, total: int) -> None:
        run.check()
        if world.leads and (done % 50 == 0 or done == total):
            stage = f"reading clips, {done} of {total}"
            run.dir.log_metrics(0, config.steps, stage=stage)

    return readable(
        snapshot.records,
        clips,
        report=run.dir.root / REPORT if world.leads else None,
        say=say,
        rank=world.rank,
        world=world.size,
    )


def frame_rule(family: Family, config: RewardModelConfig) -> FrameRule:
    return FrameRule(
        fps=config.fps,
        min_frames=config.min_frames,
        max_frames=config.max_frames,
        min_pixels=config.min_pixels,
        max_pixels=config.max_pixels,
        side_factor=family.side_factor,
        name=config.frame_rule,
        # One temporal patch of its own: no patch joins the image with a frame of the clip.
        start_frames=family.temporal_patch if config.start_image == "prepend" else 0,
    )


def _splits(snapshot: Snapshot, config: RewardModelConfig) -> dict[str, Pairs]:
    keys = snapshot.dimensions.keys
    of = {
        split: [record for record in snapshot.records if record.split == split]
        for split in ("train", "validation", "test")
    }
    weights = snapshot.annotators if config.annotator_weights == "reliability" else None
    splits = {split: pairs_of(records, keys, weights) for split, records in of.items()}
    few = of["validation"][: config.eval_pairs]
    splits["validation_while_training"] = pairs_of(few, keys, weights)
    return splits
