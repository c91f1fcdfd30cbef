"""The section of docs/benchmarks.md on generator families."""

from collections.abc import Callable
from typing import Any


def align_families(figures: dict[str, Any], table: Callable[..., str]) -> str:
    head = ["form", "process", "networks", "first loss - ln 2", "adapter moves the clip by",
            "adapter off - base", "base - diffusers", "aligned - diffusers"]  # fmt: skip
    rows = [
        [
            each["form"],
            each["process"].replace("_", " "),
            str(each["networks"]),
            f"{each['ln_2']:.1e}",
            f"{each['moved']:.2f}",
            *(f"{each[key]:g}" for key in ("off", "base", "aligned")),
        ]
        for each in figures["rows"]
    ]
    return (
        "## Generator families\n\n`python -m bench.align_families --json"
        " docs/benchmarks/align_families.json`: each form with tiny random networks, trained for"
        f" {figures['steps']} steps of Flow-DPO by the run that trains large ones; then the same"
        " clip by us and by a process that imports diffusers alone and takes the adapter through"
        " `load_lora_weights`. Differences are the largest of any number of the latents, after"
        f" sampling with guidance by text; the worst of {len(figures['seeds'])} seeds (of the"
        " movement, the smallest). Wanted: 0.\n\n"
        f"{table(head, rows)}\n"
    )
