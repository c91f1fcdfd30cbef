"""Soft labels of simulated campaigns: how often right, and how sure, with and without pooling.

    python -m bench.posteriors [--json FILE]

Three votes per pair; people differ in how often they are right, and some of them guess. Beside the
majority (where one label has two votes) stand Dawid and Skene's model with the smoothing that is
usual, with five times as much, and with the confusions partly pooled, as the site does. The worlds
are not those on which the ten votes were chosen.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from annotation.agreement import POOLED, dawid_skene

SEEDS: Final = range(100, 120)
VOTES: Final = 3
PRIOR: Final = np.array([0.36, 0.28, 0.36])  # A, tie, B
WAYS: Final[dict[str, dict[str, Any]]] = {
    "smoothing 0.01": {"smoothing": 0.01},
    "smoothing 0.5": {"smoothing": 0.5},
    "pooled": {"pooled": POOLED},
}
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Campaign:
    pairs: int
    people: int
    right: float  # how often people are right, on average
    guessing: float  # share of people who guess


CAMPAIGNS: Final = (
    Campaign(100, 8, 0.75, 0.0),
    Campaign(200, 20, 0.70, 0.0),
    Campaign(200, 20, 0.85, 0.0),
    Campaign(1000, 20, 0.70, 0.2),
    Campaign(5000, 60, 0.70, 0.1),
)


def draw(campaign: Campaign, rng: np.random.Generator) -> tuple[Ints, Ints, Ints, Ints]:
    """unit, annotator and label of every vote, and the truth of every unit."""
    truth = rng.choice(3, campaign.pairs, p=PRIOR)
    right = np.clip(rng.normal(campaign.right, 0.1, campaign.people), 0.34, 0.98)
    right[rng.random(campaign.people) < campaign.guessing] = 1 / 3
    annotator = np.concatenate(
        [rng.choice(campaign.people, VOTES, replace=False) for _ in range(campaign.pairs)]
    )
    unit = np.repeat(np.arange(campaign.pairs), VOTES)
    hit = rng.random(len(unit)) < right[annotator]
    label = np.where(hit, truth[unit], (truth[unit] + rng.integers(1, 3, len(unit))) % 3)
    return unit, annotator, label, truth


def measured(campaign: Campaign) -> dict[str, dict[str, float]]:
    """Means over the seeds; `right` on the pairs on which two of three votes agree."""
    found: dict[str, list[list[float]]] = {name: [] for name in ("majority", *WAYS)}
    for seed in SEEDS:
        unit, annotator, label, truth = draw(campaign, np.random.default_rng(seed))
        counts = np.zeros((campaign.pairs, 3), np.int64)
        np.add.at(counts, (unit, label), 1)
        clear = counts.max(1) >= 2
        found["majority"].append([(counts.argmax(1) == truth)[clear].mean()])
        for name, given in WAYS.items():
            posterior = dawid_skene(unit, annotator, label, 3, **given).posterior
            chance = np.clip(posterior[np.arange(campaign.pairs), truth], 1e-6, 1)
            hit = posterior.argmax(1) == truth
            found[name].append(
                [hit[clear].mean(), -np.log(chance).mean(), posterior.max(1).mean() - hit.mean()]
            )
    names = ("right", "log_loss", "too_sure")
    return {
        way: dict(zip(names, np.mean(rows, 0).round(4).tolist(), strict=False))
        for way, rows in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    for campaign in CAMPAIGNS:
        rows.append({"campaign": asdict(campaign), "ways": measured(campaign)})
        print(campaign)
        for way, each in rows[-1]["ways"].items():
            print(f"  {way:<16}" + "  ".join(f"{name} {value:.3f}" for name, value in each.items()))
    if given.json:
        found = {"seeds": len(SEEDS), "votes": VOTES, "pooled": POOLED, "rows": rows}
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
