"""Does GAPO make a better image-to-video generator, and does it keep it moving?

    python -m bench.anime_world [--seeds 3] [--keep FOLDER] [--json FILE]

Each seed is the whole loop of the anime world by the product's own command, `manage.py demo --world
anime`: other clips, other people, another reward model, another alignment, on the same tiny bases,
which the first seed leaves in the folder. Reported are true qualities, measured from pixels by
`demo.anime.truth`, of clips for held-out prompts: candidate against base on the same seeds.

Settings were chosen on worlds with other seeds.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.reward_runs import interval, machine, pin_cores, scratch
from demo.anime.recipes import DIMENSIONS, SPAN
from formats.files import read_json

ROOT: Final = Path(__file__).parent.parent
FIRST_SEED: Final = 1
WANTED: Final = {"low": 0.60, "aim": 0.80, "fall": 0.05}
CANDIDATE: Final = "GAPO"
# Words of the report (`pipelines.reporting`), which is read as the file that it is.
REPORT: Final = "report/1"
OVERALL: Final = "overall"
MOTION: Final = "motion"


def one_seed(folder: Path, seed: int) -> dict[str, Any]:
    """The loop of one seed; one that has come to its report is read."""
    report = _report_of(folder, seed)
    seconds = None
    if report is None:
        began = time.time()
        _run_demo(folder, seed)
        seconds = round(time.time() - began)
        report = _report_of(folder, seed)
    if report is None:
        raise SystemExit(f"the loop of seed {seed} in {folder} ended without a report")
    return {"seed": seed, "seconds": seconds, **row_of(report)}


def _run_demo(folder: Path, seed: int) -> None:
    environment = {**os.environ, "TIEBREAK_VAR": str(folder), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, str(ROOT / "manage.py"), "demo", "--world", "anime", "--seed",
               str(seed), "--until-report", "--port", str(8900 + seed % 50)]  # fmt: skip
    subprocess.run(command, env=environment, cwd=ROOT, check=True)


def _report_of(folder: Path, seed: int) -> dict[str, Any] | None:
    """The report whose lineage begins with the votes on this seed's world."""
    for path in sorted(folder.glob("runs/*/outputs/report.json")):
        report = read_json(path, REPORT)
        names = {each["campaign_name"] for each in report["snapshots"]}
        if names == {f"Anime world, seed {seed}"}:
            return report
    return None


def row_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the truth says of the candidate; falls as shares of the demo's scale from 0 to 1."""
    evaluation = next(each for each in report["evaluations"] if each["candidate"] == CANDIDATE)
    judges = {each["judge"]: each for each in evaluation["judges"]}
    truth = judges["truth"]
    rates = ("rate", "low", "high", "wins", "ties", "losses", "prompts")
    return {
        "win_rates": {
            key: {name: truth["dimensions"][key][name] for name in rates}
            for key in (OVERALL, *DIMENSIONS)
        },
        "changes": {key: share_of_scale(key, truth["changes"][key]) for key in DIMENSIONS},
        "motion_amount": evaluation["measures"].get(MOTION),
        "by_training_reward": judges["reward"]["dimensions"][OVERALL]["rate"],
        "reward_model": {
            key: {name: row.get(name) for name in ("accuracy_without_ties", "share_of_ceiling")}
            for key, row in report["reward_models"][0]["dimensions"].items()
        },
    }


def share_of_scale(key: str, change: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: change[name] / SPAN[key]
        for name in ("base", "candidate", "change", "low", "high")
        if change[name] is not None
    }


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Over seeds: the worst lower end, and means with intervals over the seeds."""
    overall = [row["win_rates"][OVERALL] for row in rows]
    changes = {key: interval([row["changes"][key]["change"] for row in rows]) for key in DIMENSIONS}
    return {
        "wanted": WANTED,
        "seeds": rows,
        "win_rate": interval([each["rate"] for each in overall]),
        "lowest_end": min(each["low"] for each in overall),
        "changes": changes,
        "fall_of_motion": max(0.0, -changes[MOTION]["mean"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--keep", type=Path, help="leave the site with its runs in this folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    cores, rows = pin_cores(), []
    with scratch(given.keep) as folder:
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            rows.append(one_seed(folder, seed))
            found = {"machine": machine(cores), **figures(rows)}
            print(_line(rows[-1]), flush=True)
            if given.json:  # an hour of work is not lost with the last seed
                given.json.write_text(json.dumps(found, indent=1) + "\n")
    print(
        f"true-quality win rate {found['win_rate']['mean']:.3f}, lowest lower end "
        f"{found['lowest_end']:.3f} (wanted above {WANTED['low']:.2f}); fall of true motion "
        f"{found['fall_of_motion']:.3f} (wanted at most {WANTED['fall']:.2f})"
    )


def _line(row: Mapping[str, Any]) -> str:
    overall = row["win_rates"][OVERALL]
    changes = ", ".join(f"{key} {row['changes'][key]['change']:+.3f}" for key in DIMENSIONS)
    return (
        f"seed {row['seed']}: win rate {overall['rate']:.3f} ({overall['low']:.3f} to"
        f" {overall['high']:.3f}); {changes}"
    )


if __name__ == "__main__":
    main()
