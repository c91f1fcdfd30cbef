"""Are careless annotators found, and honest ones left in peace?

    python -m bench.careless [--seeds 20] [--first-seed 0] [--json FILE]

12 simulated people, of whom 3 answer at random in 60 % of cases, cast 200 votes each on a campaign
that wants three votes per triplet. The rule is `annotation.quality.carelessness`, fixed beforehand.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from annotation.quality.carelessness import Carefulness, carefulness
from demo.annotators import random_crowd
from demo.difficulty import random_pair, vote
from demo.recipes import DIMENSIONS

PEOPLE, CARELESS, VOTES_EACH, VOTES_PER_TRIPLET = 12, 3, 200, 3


@dataclass(frozen=True, slots=True)
class Result:
    seed: int
    found: int
    accused: int
    lowest_careless: float  # estimated share of random answers
    highest_honest: float


def simulate(seed: int) -> list[Carefulness]:
    """One campaign; the last three people are the careless ones."""
    rng = np.random.default_rng([seed, 7])
    crowd = random_crowd(PEOPLE, CARELESS, rng)
    left = np.full(PEOPLE, VOTES_EACH)
    rows: list[tuple[int, int, int]] = []
    for triplet in range(PEOPLE * VOTES_EACH // VOTES_PER_TRIPLET):
        a, b = random_pair(rng)
        # Those with most votes left come first, so that everybody ends at the same number.
        people = np.lexsort((rng.random(PEOPLE), -left))[:VOTES_PER_TRIPLET]
        left[people] -= 1
        for person in people:
            labels = vote(crowd[person], a, b, rng)
            for number, key in enumerate(DIMENSIONS):
                unit = triplet * len(DIMENSIONS) + number
                rows.append((unit, int(person), 1 - labels[key]))
    unit, annotator, label = np.array(rows).T
    return carefulness(unit, annotator, label, PEOPLE)


def judged(seed: int) -> Result:
    found = simulate(seed)
    honest, careless = found[:-CARELESS], found[-CARELESS:]
    return Result(
        seed,
        found=sum(each.careless for each in careless),
        accused=sum(each.careless for each in honest),
        lowest_careless=min(each.random_share or 0.0 for each in careless),
        highest_honest=max(each.random_share or 0.0 for each in honest),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    first = arguments.first_seed
    results = [judged(seed) for seed in range(first, first + arguments.seeds)]
    print("seed  found of 3  accused of 9  least random careless  most random honest")
    for each in results:
        print(
            f"{each.seed:4}  {each.found:10}  {each.accused:12}"
            f"  {each.lowest_careless:21.2f}  {each.highest_honest:18.2f}"
        )
    summary = {
        "found": sum(each.found for each in results) / (CARELESS * len(results)),
        "accused": sum(each.accused for each in results) / ((PEOPLE - CARELESS) * len(results)),
    }
    print(f"found {summary['found']:.3f}, honest ones accused {summary['accused']:.3f}")
    if arguments.json:
        rows = [asdict(each) for each in results]
        arguments.json.write_text(json.dumps({**summary, "seeds": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
