"""Pairs for SFT and Flow-RWR: the clips that people compared, put in order by the reward model.

VideoAlign trains both on clips of many generators that its reward model judged anew. So here: every
training prompt has ten clips of the demo's generators, which are better than what the tiny one
makes. On its own winners SFT only copies its own faults: their mean true quality is a little above
its own, and what it learns from clips comes out below them.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench.align_runs import SCORING, clear
from bench.align_worlds import AlignWorld
from formats.records import GenerationRecord, PairRecord, ScoreRecord
from formats.run_dir import Input, RunDir
from formats.snapshot import read_snapshot
from formats.supervised import Supervised
from models_rm.scores.run import score

# Text alignment weighs more: a clip that shows something else than its caption says teaches that.
WEIGHTS: Final = {"VQ": 1.0, "MQ": 1.0, "TA": 4.0}


def relabelled(world: AlignWorld, folder: Path, pairs_per_prompt: int) -> AlignWorld:
    """The same world with pairs of its campaign's clips, as a pairing run would make them."""
    target = folder / f"relabelled-{pairs_per_prompt}.jsonl"
    if not target.exists():
        clips = _clips(world, folder / "campaign")
        values = {"weights": WEIGHTS, "pairs_per_prompt": pairs_per_prompt}
        _write_pairs(target, clips, _scores(world, clips, folder / "campaign-scores"), values)
    return replace(world, pairs=target)


def _clips(world: AlignWorld, folder: Path) -> Path:
    """The clips of training prompts as a generation set; their files stay in the media store."""
    records = read_snapshot(world.snapshot).records
    found = {
        (each.prompt, clip.sha256): GenerationRecord(each.prompt, each.prompt, each.split, clip)
        for each in records
        for clip in (each.video_a, each.video_b)
        if clip is not None and each.split == "train"
    }
    folder.mkdir(parents=True, exist_ok=True)
    for each in world.media.iterdir():
        if not (folder / each.name).is_symlink():
            (folder / each.name).symlink_to(each)
    GenerationRecord.write(folder / "generations.jsonl", [found[key] for key in sorted(found)])
    return folder / "generations.jsonl"


def _scores(world: AlignWorld, clips: Path, folder: Path) -> Path:
    run = RunDir(folder)
    if run.outcome() is None:
        inputs = {
            "generations": clips, "reward_model": world.reward_model, "backbone": world.backbone,
        }  # fmt: skip
        given = {name: Input(str(path)) for name, path in inputs.items()}
        clear(folder).prepare(SCORING, given, media_root=world.media)
        run.finish(score(Supervised(run)))
    return run.outputs / "scores.jsonl"


def _write_pairs(target: Path, clips: Path, scores: Path, values: Mapping[str, Any]) -> None:
    """By the rules of the site, which live in its process: no database is asked."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from pipelines.pairs.of_rewards import pairs_from_scores
    from pipelines.pairs.rules import PairingConfig

    config = PairingConfig.from_json(values)
    rows = GenerationRecord.read(clips), ScoreRecord.read(scores)
    PairRecord.write(target, pairs_from_scores(*rows, config).pairs)
