"""Draw what bench.active_world found: accuracy over votes for each way to choose pairs, with its
interval over worlds."""

from collections.abc import Iterator
from typing import Any, Final
from xml.sax.saxutils import escape

LINES: Final = {
    "last_layer": ("last layer known", "#2b8a3e"),
    "committee": ("committee", "#1f5fbf"),
    "alone": ("one model", "#c2571a"),
    "random": ("random", "#6b6b6b"),
}
LEFT, TOP, WIDTH, HEIGHT = 56, 44, 620, 300
INK, FAINT = "#1b1b1b", "#d4d4d4"


class _Scale:
    def __init__(self, figures: dict[str, Any]):
        world, curves = figures["world"], figures["curves"]
        self.first = world["votes"] * world["first_pairs"]
        self.step = world["votes"] * world["round_pairs"]
        self.rounds = max(map(len, curves.values()))
        ends = [row[end] for rows in curves.values() for row in rows for end in ("low", "high")]
        self.low, self.high = min(ends) - 0.01, max(ends) + 0.01

    def votes(self, number: int) -> int:
        return int(self.first + self.step * number)

    def x(self, votes: float) -> float:
        return LEFT + WIDTH * votes / self.votes(self.rounds - 1)

    def y(self, value: float) -> float:
        return TOP + HEIGHT * (self.high - value) / (self.high - self.low)


def drawn(figures: dict[str, Any]) -> str:
    """The whole picture as SVG; a white ground, so that it reads in dark pages too."""
    scale = _Scale(figures)
    width, height = LEFT + WIDTH + 24, TOP + HEIGHT + 100
    seeds = len(figures["seeds"])
    title = f"Accuracy without ties over the votes bought, {seeds} worlds, 95 % intervals"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(LEFT, 24, title, weight="600"),
        *_axes(scale),
        *_targets(scale, figures),
    ]
    for way, (_, colour) in LINES.items():
        parts += _curve(scale, figures["curves"][way], colour)
    parts += _legend(TOP + HEIGHT + 64)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _axes(scale: _Scale) -> Iterator[str]:
    for hundredth in range(int(100 * scale.low) + 1, int(100 * scale.high) + 1):
        if hundredth % 5:
            continue
        y = scale.y(hundredth / 100)
        yield f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="{FAINT}"/>'
        yield _text(LEFT - 8, y + 4, f"{hundredth / 100:.2f}", anchor="end", size=11)
    most = scale.votes(scale.rounds - 1)
    for tenth in range(11):
        votes = most * tenth / 10
        x = scale.x(votes)
        yield _text(x, TOP + HEIGHT + 18, f"{votes:.0f}", anchor="middle", size=11)
    yield _text(LEFT + WIDTH / 2, TOP + HEIGHT + 38, "votes", anchor="middle", size=11)


def _targets(scale: _Scale, figures: dict[str, Any]) -> Iterator[str]:
    final = figures["final"]["mean"]
    for value in (0.9 * final, 0.5 + 0.9 * (final - 0.5)):
        y = scale.y(value)
        yield (
            f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="{INK}"'
            ' stroke-dasharray="4 4" stroke-width="1"/>'
        )


def _curve(scale: _Scale, rows: list[dict[str, float]], colour: str) -> Iterator[str]:
    def along(end: str) -> list[str]:
        return [
            f"{scale.x(scale.votes(n)):.1f},{scale.y(row[end]):.1f}" for n, row in enumerate(rows)
        ]

    band = " ".join([*along("high"), *reversed(along("low"))])
    yield f'<polygon points="{band}" fill="{colour}" fill-opacity="0.14"/>'
    points = " ".join(along("mean"))
    yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _legend(y: float) -> Iterator[str]:
    x = float(LEFT)
    for said, colour in LINES.values():
        place = f'x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}"'
        yield f'<line {place} stroke="{colour}" stroke-width="2"/>'
        yield _text(x + 28, y, said)
        x += 48 + 8 * len(said)
    said = "dashed: 90 % of the final accuracy of random, and 90 % of what it is above chance"
    yield _text(LEFT, y + 22, said, size=11)


def _text(
    x: float, y: float, said: str, *, anchor: str = "start", size: int = 13, weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" text-anchor="{anchor}" font-size="{size}"'
        f' font-weight="{weight}">{escape(said)}</text>'
    )
