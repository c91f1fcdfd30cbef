"""Draw what bench.align_world found: curves over steps, and clips of the base beside aligned ones.

    python -m bench.align_plot [--json FILE] [--svg FILE] [--keep FOLDER] [--png FILE]

The curves come from the JSON: true win rate, win rate by the training judge, and how far the error
on winners lies above its reference, each with its interval over the worlds. The grid needs the
folder that `bench.align_world --keep` left: the first, middle and last frame of clips of the first
world, the same prompts and seeds in every column.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, ImageDraw

from demo.clip_files import read_clip
from formats.records import GenerationRecord

FOLDER: Final = Path("docs/benchmarks")
LINES: Final = {
    "flow_dpo": ("Flow-DPO, constant beta", "#1f5fbf"),
    "schedule": ("Flow-DPO, beta (1-t)²", "#c2571a"),
    "gapo": ("GAPO on Flow-DPO", "#2b8a3e"),
    "safe_dpo": ("safe DPO", "#7a3fb0"),
}
PANELS: Final = (
    ("truth", "True quality: clips won", True),
    ("judge", "Training judge: clips won", True),
    ("winner_drift", "Error on winners less its reference", False),
)
LEFT, TOP, WIDTH, HEIGHT, GAP = 54, 52, 300, 220, 60
APART: Final = 20  # pixels between two numbers of an axis
INK, FAINT = "#1b1b1b", "#d4d4d4"
# The columns of the grid: folders of `--keep`, of the sampling on test prompts.
COLUMNS: Final = ("base", "sft", "rwr", "nrg", "flow_dpo", "gapo", "safe_dpo")
FRAMES: Final = (0, 4, 8)
PROMPTS: Final = 6
SIDE, MARGIN, HEAD = 64, 4, 18


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing with its own scale; steps are drawn on a logarithmic one."""

    left: int
    low: float
    high: float
    first: float
    last: float

    def x(self, step: float) -> float:
        share = math.log(step / self.first) / math.log(self.last / self.first)
        return self.left + WIDTH * share

    def y(self, value: float) -> float:
        held = min(max(value, self.low), self.high)
        return TOP + HEIGHT * (self.high - held) / (self.high - self.low)


def drawing(figures: dict[str, Any]) -> str:
    """The whole picture as SVG; a white ground, so that it reads in dark pages too."""
    width = LEFT + len(PANELS) * (WIDTH + GAP)
    height = TOP + HEIGHT + 96
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(_title(figures))}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (measure, title, share) in enumerate(PANELS):
        panel = _scaled(figures["curves"], measure, LEFT + number * (WIDTH + GAP), share=share)
        parts += _panel(panel, figures["curves"], measure, title)
    parts += _legend(TOP + HEIGHT + 62)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _scaled(curves: dict[str, Any], measure: str, left: int, *, share: bool) -> Panel:
    rows = [row for name in LINES for row in curves[name]]
    steps = [row["step"] for row in rows]
    means = [row[measure]["mean"] for row in rows]
    low, high = (min(0.4, *means), 1.0) if share else (min(0.0, *means), max(means))
    room = 0.05 * (high - low)
    return Panel(left, low - room, high if share else high + room, min(steps), max(steps))


def _panel(panel: Panel, curves: dict[str, Any], measure: str, title: str) -> Iterator[str]:
    yield _text(panel.left, 26, title, weight="600")
    for value in _ticks(panel.low, panel.high):
        y = panel.y(value)
        line = f'x1="{panel.left}" x2="{panel.left + WIDTH}" y1="{y:.1f}" y2="{y:.1f}"'
        yield f'<line {line} stroke="{FAINT}"/>'
        yield _text(panel.left - 6, y + 4, f"{value:g}", anchor="end", size=11)
    for step in _labelled(panel, [row["step"] for row in curves["flow_dpo"]]):
        yield _text(panel.x(step), TOP + HEIGHT + 16, str(step), anchor="middle", size=10)
    yield _text(panel.left + WIDTH / 2, TOP + HEIGHT + 34, "steps", anchor="middle", size=11)
    for name, (_, colour) in LINES.items():
        yield from _curve(panel, curves[name], measure, colour)


def _labelled(panel: Panel, steps: Sequence[int]) -> list[int]:
    """The steps that have room for their number."""
    found: list[int] = []
    for step in steps:
        if not found or panel.x(step) - panel.x(found[-1]) >= APART:
            found.append(step)
    return found


def _curve(
    panel: Panel, rows: Sequence[dict[str, Any]], measure: str, colour: str
) -> Iterator[str]:
    def along(end: str) -> list[str]:
        return [f"{panel.x(row['step']):.1f},{panel.y(row[measure][end]):.1f}" for row in rows]

    around = " ".join([*along("low"), *reversed(along("high"))])
    yield f'<polygon points="{around}" fill="{colour}" fill-opacity="0.1"/>'
    yield (
        f'<polyline points="{" ".join(along("mean"))}" fill="none" stroke="{colour}" '
        'stroke-width="2"/>'
    )


def _ticks(low: float, high: float) -> list[float]:
    size = 10 ** math.floor(math.log10(high - low))
    while (high - low) / size < 4:
        size /= 2
    first = math.ceil(low / size)
    return [round(n * size, 6) for n in range(first, math.floor(high / size + 1e-9) + 1)]


def _legend(y: int) -> Iterator[str]:
    for number, (title, colour) in enumerate(LINES.values()):
        x = LEFT + number * 220
        yield f'<line x1="{x}" x2="{x + 24}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
        yield _text(x + 32, y + 4, title)


def _title(figures: dict[str, Any]) -> str:
    curves = figures["curves"]
    ends = (f"{LINES[name][0]} {curves[name][-1]['truth']['mean']:.2f}" for name in LINES)
    last = curves["flow_dpo"][-1]["step"]
    return f"Share of clips truly won after {last} steps: " + "; ".join(ends)


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", size: int = 13, weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{INK}">{escape(words)}</text>'
    )


# The grid.


def grid(folder: Path, figures: dict[str, Any]) -> Image.Image:
    """A row per prompt, a column per method, three frames of each clip."""
    clips = {name: _clips(_side_of(folder, name, figures)) for name in COLUMNS}
    shared = sorted(set.intersection(*(set(each) for each in clips.values())))
    prompts = list(dict.fromkeys(prompt for prompt, _ in shared))
    chosen = [prompts[n * len(prompts) // PROMPTS] for n in range(min(PROMPTS, len(prompts)))]
    keys = [next(key for key in shared if key[0] == prompt) for prompt in chosen]
    cell = len(FRAMES) * SIDE + MARGIN
    size = (len(COLUMNS) * (cell + MARGIN), len(keys) * (SIDE + HEAD) + HEAD)
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for column, name in enumerate(COLUMNS):
        left = column * (cell + MARGIN)
        pen.text((left, 2), name, fill=INK)
        for row, key in enumerate(keys):
            top = HEAD + row * (SIDE + HEAD)
            if column == 0:
                pen.text((left, top), key[0], fill=INK)
            frames = read_clip(clips[name][key])[list(FRAMES)]
            strip = np.concatenate(list(frames), axis=1)
            picture.paste(Image.fromarray(strip), (left, top + HEAD - 3))
    return picture


def _side_of(folder: Path, name: str, figures: dict[str, Any]) -> Path:
    split = figures["split"]
    if name == "base":
        return next(iter(sorted(folder.glob(f"base-*-{split}"), reverse=True)))
    if name == "nrg":
        return folder / f"nrg-{split}"
    steps = figures["rows"][name]["steps"]
    return max((folder / name).glob(f"{split}-{steps}-*"))


def _clips(side: Path) -> dict[tuple[str, int], Path]:
    file = side / "clips" / "outputs" / "generations" / "generations.jsonl"
    rows = GenerationRecord.read(file)
    return {(each.prompt, each.video.seed or 0): file.parent / each.video.path for each in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, default=FOLDER / "align_world.json")
    parser.add_argument("--svg", type=Path, default=FOLDER / "align_world.svg")
    parser.add_argument("--keep", type=Path, help="what bench.align_world left, for the grid")
    parser.add_argument("--png", type=Path, default=FOLDER / "align_world.png")
    given = parser.parse_args()
    figures = json.loads(given.json.read_text())
    given.svg.write_text(drawing(figures))
    print(f"wrote {given.svg}")
    if given.keep:
        grid(given.keep / "0", figures).save(given.png, optimize=True)
        print(f"wrote {given.png}")


if __name__ == "__main__":
    main()
