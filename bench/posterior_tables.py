"""The table of `make bench-posteriors`."""

from collections.abc import Callable
from typing import Any


def posteriors(figures: dict[str, Any], table: Callable[..., str]) -> str:
    rows = []
    for row in figures["rows"]:
        campaign, ways = row["campaign"], row["ways"]
        about = f"{campaign['pairs']} pairs, {campaign['people']} people"
        about += f", right in {campaign['right']:.0%}"
        about += f", {campaign['guessing']:.0%} guess" if campaign["guessing"] else ""
        for way, each in ways.items():
            further = [
                f"{each[key]:.3f}" if key in each else "" for key in ("log_loss", "too_sure")
            ]
            rows.append([about, way, f"{each['right']:.3f}", *further])
            about = ""
    head = ["campaign", "labels by", "right where two agree", "log loss", "surer than right"]
    return (
        "## Soft labels\n\n`make bench-posteriors`: simulated campaigns with"
        f" {figures['votes']} votes per pair, means of {figures['seeds']} seeds. The majority"
        " beside Dawid and Skene's model with two smoothings, and with"
        f" {figures['pooled']:.0f} votes of the average annotator added for everybody, as the site"
        f" does.\n\n{table(head, rows)}\n"
    )
