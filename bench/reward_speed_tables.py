"""The section of docs/benchmarks.md on the speed of reward models."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Table = Callable[[Sequence[str], Iterable[Sequence[str]]], str]

HEAD = ["what", "at least", "aim", "found, time", "found, processor time"]
# (what, ours, other, kind, at least, aim)
TIMES = [
    ("training pair, six real clips, 25.1 M parameters: released code ÷ ours", "train/ours",
     "train/peer", "6x", "10x"),
    ("the same, plain loop on today's libraries ÷ ours", "train/ours", "train/plain", "1.3x", "2x"),
    ("the same where 11 pairs share 6 clips of a prompt, about as in the paper's data",
     "shared/ours", "train/plain", "", ""),
    ("the same with gradient checkpointing", "train/ours_checkpointed", "train/plain", "", ""),
    ("demo world, training pairs: plain loop ÷ ours", "demo/ours", "demo/plain", "3x", "8x"),
    ("scoring, clips of the demo world: one at a time ÷ ours", "score_demo/ours",
     "score_demo/plain", "2x", "5x"),
    ("scoring, the six real clips: one at a time ÷ ours", "score/ours", "score/plain", "2x", "5x"),
]  # fmt: skip


def reward_speed(figures: dict[str, Any], table: Table) -> str:
    machine, each = figures["machine"], figures["each"]
    rows = [_time(figures, *row) for row in TIMES]
    rows += [
        _memory(figures, "", "train/ours"),
        _memory(figures, ", with gradient checkpointing", "train/ours_checkpointed"),
        [
            "share of the time spent on getting frames, behind the first epoch", "5 %", "1 %",
            f"{each['train/ours']['reading_share']:.2%}", "",
        ],
        _gpu(figures["gpu"]),
    ]  # fmt: skip
    absolute = [
        [name, f"{row['seconds']:.4f}", f"{row['processor']:.4f}", f"{row['megabytes']:.0f}",
         f"{row['load']:.1f}"]
        for name, row in each.items()
    ]  # fmt: skip
    head = ["program", "s per pair or clip", "processor s", "peak MB", "load at start"]
    return (
        "## Speed of reward models\n\n`make bench-reward-speed`: each program is a process on"
        f" {machine['threads']} threads, one after the other in turns, medians of"
        f" {figures['rounds']} turns, float32, one step per pair (demo world: 64 pairs);"
        f" {machine['processor']}, {machine['cores']} cores, torch {machine['torch']},"
        f" {machine['date']}. {_load(each)} The plain loop is `bench/reward_plain.py`;"
        f" {_peer(figures)}\n\n{table(HEAD, rows)}\n\n{table(head, absolute)}\n"
    )


def _time(
    figures: dict[str, Any], what: str, ours: str, other: str, least: str, aim: str
) -> list[str]:
    found = figures["ratios"].get(f"{ours} {other}")
    if found:
        return [what, least, aim, f"{found['seconds']:.1f}x", f"{found['processor']:.1f}x"]
    given = figures["given_peer"]["seconds"] / figures["each"][ours]["seconds"]
    return [what, least, aim, f"{given:.1f}x", "not measured here"]


def _memory(figures: dict[str, Any], how: str, ours: str) -> list[str]:
    share = 1 / figures["ratios"][f"{ours} train/plain"]["megabytes"]
    what = f"peak memory against the plain loop{how}"
    limits = ["", ""] if how else ["0.8x", "0.5x"]
    return [what, *limits, f"{share:.2f}x", ""]


def _gpu(found: dict[str, Any] | None) -> list[str]:
    what = "GPU, 2B, bfloat16, real clip sizes: model FLOP utilisation"
    if found is None:
        said = "not measured: no GPU"
    elif found["utilisation"] is None:
        said = f"{found['teraflops']:.0f} TFLOP/s on {found['device']}, whose peak is not known"
    else:
        said = f"{found['utilisation']:.0%} ({found['device']})"
    return [what, "35 %", "50 %", said, ""]


def _load(each: dict[str, dict[str, float]]) -> str:
    highest = max(row["load"] for row in each.values())
    return (
        f"Other work kept the machine at a load of up to {highest:.0f}, so that the ratios of"
        " processor time are the steadier ones."
        if highest > 1.5
        else "Nothing else ran."
    )


def _peer(figures: dict[str, Any]) -> str:
    if "train/peer" in figures["each"]:
        return (
            "the released code runs with transformers 4.45.2, trl 0.8.6, peft 0.10.0, torch 2.3.1"
            " (`bench/reward_peer.py`)."
        )
    return "the released code was not run here; its figure is the 23.6 s measured before."
