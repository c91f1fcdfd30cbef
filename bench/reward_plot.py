"""Draw the ablation of reward models beside the paper's.

    python -m bench.reward_plot [--json docs/benchmarks/reward_ablation.json] [--svg FILE]

Two panels, accuracy with and without ties. In each a row per model: ours as a dot with the 95 %
interval over the seeds, every seed as a small mark, the paper's figure as a diamond.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from demo.recipes import DIMENSIONS

FOLDER: Final = Path("docs/benchmarks")
NAMES: Final = {
    "regression": "Regression on scores",
    "bt": "Bradley-Terry (BT)",
    "btt": "BT with ties (BTT)",
    "btt_separate": "BTT, separate tokens",
}
PANELS: Final = (
    ("accuracy_with_ties", "with_ties", "Accuracy with ties"),
    ("accuracy_without_ties", "without_ties", "Accuracy without ties"),
)
LEFT, WIDTH, GAP, TOP, ROW = 170, 300, 40, 56, 40
OURS, PAPER, INK, LINE = "#1f5fbf", "#c2571a", "#1b1b1b", "#d4d4d4"

Place = Callable[[float], float]


def drawing(figures: dict[str, Any]) -> str:
    """The whole picture as SVG; a white ground, so that it reads in dark pages too."""
    height = TOP + ROW * len(NAMES) + 76
    width = LEFT + 2 * WIDTH + GAP + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(_title(figures))}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for index, name in enumerate(NAMES.values()):
        parts.append(_text(LEFT - 14, _row(index) + 4, name, anchor="end"))
    for number, panel in enumerate(PANELS):
        parts += _panel(figures, panel, LEFT + number * (WIDTH + GAP))
    parts += _legend(height - 18, len(figures["seeds"]))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(figures: dict[str, Any], panel: tuple[str, str, str], left: int) -> Iterator[str]:
    measure, published, title = panel
    rows = {key: figures["variants"][key] for key in NAMES}
    seen = [row["paper"][published] / 100 for row in rows.values()]
    seen += [row[measure]["mean"][end] for row in rows.values() for end in ("low", "high")]
    low, high = int(min(seen) * 20) / 20, int(max(seen) * 20 + 1) / 20

    def place(value: float) -> float:
        return left + WIDTH * (value - low) / (high - low)

    yield _text(left, 26, title, weight="600")
    for step in range(round((high - low) * 20) + 1):
        value = low + step / 20
        x, bottom = place(value), TOP + ROW * len(NAMES) - 8
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 10}" y2="{bottom}" stroke="{LINE}"/>'
        yield _text(x, bottom + 18, f"{100 * value:.0f} %", anchor="middle", size=11)
    for index, (key, row) in enumerate(rows.items()):
        yield from _mark(row[measure]["mean"], row["paper"][published] / 100, place, _row(index))
        for value in _seeds(figures, key, measure):
            x, y = place(value), _row(index) + 9
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 5}" stroke="{OURS}"/>'


def _mark(ours: dict[str, float], paper: float, place: Place, y: float) -> Iterator[str]:
    low, mean, high = (place(ours[name]) for name in ("low", "mean", "high"))
    yield (
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{OURS}" stroke-width="2"/>'
    )
    yield f'<circle cx="{mean:.1f}" cy="{y}" r="5" fill="{OURS}"/>'
    yield _diamond(place(paper), y)


def _seeds(figures: dict[str, Any], variant: str, measure: str) -> Iterator[float]:
    for row in figures["seeds"]:
        found = row["variants"][variant]["dimensions"]
        yield sum(found[key][measure] for key in DIMENSIONS) / len(DIMENSIONS)


def _legend(y: int, seeds: int) -> Iterator[str]:
    yield f'<circle cx="{LEFT + 6}" cy="{y - 4}" r="5" fill="{OURS}"/>'
    yield _text(LEFT + 18, y, f"demo world, mean of {seeds} seeds, 95 % interval, each seed")
    yield _diamond(LEFT + WIDTH + 96, y - 4)
    yield _text(LEFT + WIDTH + 108, y, "VideoAlign, table 6")


def _title(figures: dict[str, Any]) -> str:
    rows = figures["variants"]
    said = (
        f"{NAMES[key]} {100 * rows[key]['accuracy_with_ties']['mean']['mean']:.1f} and "
        f"{100 * rows[key]['accuracy_without_ties']['mean']['mean']:.1f} %"
        for key in NAMES
    )
    return "Accuracy with and without ties: " + "; ".join(said)


def _row(index: int) -> int:
    return TOP + ROW * index + 10


def _diamond(x: float, y: float) -> str:
    points = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in ((0, -6), (6, 0), (0, 6), (-6, 0)))
    return f'<polygon points="{points}" fill="none" stroke="{PAPER}" stroke-width="2"/>'


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", size: int = 13, weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{INK}">{escape(words)}</text>'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, default=FOLDER / "reward_ablation.json")
    parser.add_argument("--svg", type=Path, default=FOLDER / "reward_ablation.svg")
    given = parser.parse_args()
    given.svg.write_text(drawing(json.loads(given.json.read_text())))
    print(f"wrote {given.svg}")


if __name__ == "__main__":
    main()
