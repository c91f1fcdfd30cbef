"""The worlds in which alignment is measured: what a loop of the demo left, found by its lineage.

A world is named by the folder of its pairing run; everything else follows from the inputs that its
run directories record: clips, scores, reward model, backbone, snapshot, generator.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from formats.records import PromptRecord
from formats.run_dir import Input, RunDir
from formats.snapshot import read_snapshot

ROOT: Final = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class AlignWorld:
    """What one loop of the demo made before its alignments. All paths exist."""

    name: str
    pairs: Path  # best against worst of the generator's own clips, by the reward model
    generator: Path
    reward_model: Path
    backbone: Path
    snapshot: Path
    media: Path

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The world of a pairing run; SystemExit with a sentence where its lineage is broken."""
        pairing = RunDir(folder.resolve())
        clips, scores = (_made_by(pairing, role) for role in ("generations", "scores"))
        trained = _made_by(scores, "reward_model")
        return cls(
            name=folder.name,
            pairs=_there(pairing.outputs / "pairs.jsonl"),
            generator=_there(clips.input("generator")),
            reward_model=_there(scores.input("reward_model")),
            backbone=_there(scores.input("backbone")),
            snapshot=_there(trained.input("snapshot")),
            media=_there(pairing.media_root()),
        )

    def prompts(self, split: str) -> list[PromptRecord]:
        """Those of the campaign in this split; no pair and no vote for training is of another."""
        records = read_snapshot(self.snapshot).records
        texts = sorted({each.prompt for each in records if each.split == split})
        return [PromptRecord(text, text, split) for text in texts]

    def inputs(self) -> dict[str, Input]:
        return {"pairs": Input(str(self.pairs)), "generator": Input(str(self.generator))}


def _made_by(run: RunDir, role: str) -> RunDir:
    """The run that left an input of this one: RUN/outputs/…"""
    path = _there(run.input(role))
    for folder in path.parents:
        if folder.name == "outputs":
            return RunDir(folder.parent)
    raise SystemExit(f"{path} lies in no run directory, so where it came from cannot be followed")


def _there(path: Path) -> Path:
    if not path.exists():
        raise SystemExit(f"{path} is not there; a pairing run with all that it stands on is needed")
    return path


def made(folder: Path, seed: int) -> AlignWorld:
    """The whole loop of the demo with another seed, by `manage.py demo`; found again when made."""
    found = _pairing_run(folder)
    if found is None:
        environment = {**os.environ, "TIEBREAK_VAR": str(folder), "OMP_WAIT_POLICY": "PASSIVE"}
        command = [sys.executable, str(ROOT / "manage.py"), "demo", "--seed", str(seed),
                   "--until-report", "--port", str(8900 + seed % 50)]  # fmt: skip
        subprocess.run(command, env=environment, cwd=ROOT, check=True)
        found = _pairing_run(folder)
    if found is None:
        raise SystemExit(f"the loop in {folder} ended without pairs; its log tells why")
    return AlignWorld.of(found)


def _pairing_run(folder: Path) -> Path | None:
    files = sorted(folder.glob("runs/*/outputs/pairs.jsonl"))
    return files[0].parent.parent if files else None
