"""What a training step reads and looks at: each clip once, A and B together."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from formats.run_dir import RunDir
from formats.supervised import Supervised
from models_rm.networks.collator import Batch
from models_rm.networks.network import Rewards
from models_rm.training.materials import gather
from models_rm.training.run import read_config
from models_rm.training.trainer import Trainer
from trainers.world import World

Make = Callable[..., RunDir]


def trainer_of(run_dir: RunDir) -> Trainer:
    run, world = Supervised(run_dir), World(torch.device("cpu"))
    return Trainer(run, gather(run, read_config(run), world), world)


def test_all_epochs_together_decode_a_clip_once(make_run: Make) -> None:
    """Trap 9: the released collator decodes for every pair and every epoch."""
    trainer = trainer_of(make_run())
    clips = {row.video.path for pairs in trainer.splits.values() for row in pairs.rows}
    for _ in range(6):  # three epochs of eight pairs
        trainer.learn()
    assert trainer.clips.cache.misses == len(clips)
    assert trainer.clips.cache.hits > 2 * len(clips)


def test_a_step_is_one_forward_in_which_a_shared_clip_stands_once(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap 16: the released trainer runs A, then B, each padded to the longer."""
    trainer = trainer_of(make_run(pairs_per_step=8))
    rows: list[int] = []
    plain = trainer.network.forward

    def counted(batch: Batch) -> Rewards:
        rows.append(len(batch.input_ids))
        return plain(batch)

    monkeypatch.setattr(trainer.network, "forward", counted)
    trainer.learn()
    assert rows == [len(trainer.splits["train"].rows)]
    assert rows[0] < 2 * 8


@pytest.mark.parametrize("where", ["run", "shared"])
def test_frames_lie_in_the_run_or_where_the_site_keeps_them(
    make_run: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, where: str
) -> None:
    monkeypatch.delenv("TIEBREAK_FRAME_CACHE", raising=False)
    shared = tmp_path / "site"
    if where == "shared":
        monkeypatch.setenv("TIEBREAK_FRAME_CACHE", str(shared))
    run = make_run()
    trainer = trainer_of(run)
    folder = shared if where == "shared" else run.root / "frames"
    assert len(list(folder.glob("*.frames"))) == trainer.clips.cache.misses > 0
    again = trainer_of(make_run("second")).clips.cache
    assert (again.misses == 0) == (where == "shared")
