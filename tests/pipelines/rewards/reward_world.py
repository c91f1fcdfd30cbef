"""Examined reward models without training one: figures of made-up rewards, as a run leaves them."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from formats.checkpoints import commit_folder
from formats.files import sha256_of, write_json
from formats.outcome import Outcome, Output, OutputKind
from formats.run_dir import RunDir
from models_rm.examination.figures import Judged, Resampling, figures_of, without_details
from models_rm.metrics import btt_log_probabilities
from tests.pipelines.loop_world import base_models, make_campaign, play

TITLES = {"VQ": "Visual quality", "MQ": "Motion quality", "TA": "Text alignment"}
THETA = 5.0


def examined_dimension(seed: int, *, spread: float, pairs: int = 400) -> dict[str, Any]:
    """All figures of one dimension: people vote by BTT, the model sees the truth with noise.

    `spread` stretches the rewards: a BT model calls its ties by large differences too.
    """
    rng = np.random.default_rng(seed)
    truth = rng.normal(scale=2.0, size=pairs)
    chances = np.cumsum(np.exp(btt_log_probabilities(truth, THETA)), axis=-1)
    human = 1 - (rng.random(pairs)[:, None] > chances[:, :2]).sum(-1)
    gap = spread * (truth + rng.normal(scale=1.0, size=pairs))
    names = [f"generator {n}" for n in range(4)]
    sides = rng.choice(names, (2, pairs))
    judged = Judged(
        human=human,
        gap=gap,
        log_probabilities=btt_log_probabilities(gap, THETA),
        theta=THETA,
        prompts=[f"prompt {n // 4}" for n in range(pairs)],
        generators=(sides[0].tolist(), sides[1].tolist()),
    )
    found = figures_of(judged, fitted=1.4 * spread, resampling=Resampling(100, 0), details=True)
    ceiling = {
        "human_ceiling_without_ties": 0.9,
        "human_ceiling_without_ties_interval": [0.86, 0.93],
        "human_ceiling_with_ties": 0.74,
        "human_ceiling_with_ties_interval": [0.7, 0.78],
    }
    scores = {"scored_clips": 210, "spearman": 0.71, "kendall_tau_b": 0.53, "pearson": 0.7,
              "spearman_within_prompts": 0.62, "kendall_tau_b_within_prompts": 0.5,
              "pearson_within_prompts": 0.6, "prompts_with_correlation": 80}  # fmt: skip
    return {**found, **ceiling, **scores}


def probe(name: str, status: str, sentence: str) -> dict[str, Any]:
    return {"name": name, "expected": "as it should be", "measured": "0", "status": status,
            "sentence": sentence, "figures": {}}  # fmt: skip


PROBES = [
    probe("prompt_swap", "passed", "With another prompt VQ, MQ stay the same, bit for bit."),
    probe("shuffled_prompts", "failed", "With the prompts of other clips, TA 0.6 to <b>0.7</b>."),
    probe("black_clip", "not_applicable", "It could not be asked."),
    probe("noise_clip", "information", "A clip of noise has more reward than 3 % of clips."),
]


@functools.cache
def card(*, spread: float = 1.0, seed: int = 0) -> dict[str, Any]:
    evaluation = {
        split: {
            key: examined_dimension(seed + n + 10 * at, spread=spread)
            for n, key in enumerate(TITLES)
        }
        for at, split in enumerate(("test", "validation"))
    }
    dimensions = [{"key": key, "title": title} for key, title in TITLES.items()]
    return {"title": "VideoAlign", "dimensions": {"dimensions": dimensions},
            "evaluation": evaluation, "probes": PROBES, "limits": []}  # fmt: skip


def leave_model(run: Any, folder: RunDir, **about: Any) -> Outcome:
    """What `models_rm train` leaves, as far as a page reads it."""
    content = card(**about)

    def fill(inside: Path) -> None:
        write_json(inside / "card.json", "reward_card/1", content)
        (inside / "README.md").write_text(f"# Reward model of run {run.pk}\n")

    sha256 = commit_folder(folder.outputs / "reward_model", fill)
    short = {split: without_details(rows) for split, rows in content["evaluation"].items()}
    snapshot = sha256_of(folder.input("snapshot") / "manifest.json")
    meta = {"snapshot_sha256": snapshot, "evaluation": short, "dimensions": list(TITLES)}
    summary = {"steps": 30, "evaluation": short, "probes": PROBES}
    output = Output(OutputKind.REWARD_MODEL, "outputs/reward_model", sha256, meta)
    return Outcome(0, outputs=(output,), summary=summary)


def examined_runs(user: Any, *, count: int = 1) -> list[Any]:
    """Succeeded reward-model runs on one snapshot; the second is a BT model."""
    from pipelines.models import BaseModel
    from pipelines.starting import start_run

    campaign = make_campaign(user=user, pairs=4)
    backbone = BaseModel.objects.get(name=base_models()["backbone"])
    snapshot = play(start_run("snapshot", {"campaign": campaign.pk}, user=user))
    inputs = {"snapshot": snapshot.artifacts.get(), "backbone": backbone}
    runs = []
    for n in range(count):
        config = {"loss": ("btt", "bt")[n % 2], "seed": n}
        started = start_run("reward_model", config, inputs, user=user, name=f"Model {n}")
        runs.append(play(started, leave=lambda run, folder, n=n: leave_model(
            run, folder, spread=(1.0, 3.0)[n % 2], seed=n)))  # fmt: skip
    return runs
