"""The charts of each panel: what is drawn, and in which words it is told when pointed at."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.charts import (
    Bars,
    Heat,
    HeatCell,
    HeatRow,
    Lines,
    Row,
    Rows,
    Scale,
    Segment,
    Series,
    Span,
    bars_chart,
    level,
    lines_chart,
    rows_chart,
    stack,
)
from annotation.dashboards.agreeing import (
    AgreementOverTime,
    AgreementPanel,
    DimensionAgreement,
    DimensionKappas,
    KappaCell,
    KappaPanel,
    Period,
)
from annotation.dashboards.dataset import DatasetPanel
from annotation.dashboards.generating import GeneratorsPanel, Leaderboard, Place
from annotation.dashboards.people import (
    ConfusionPanel,
    DimensionConfusion,
    PaceRow,
    SideRow,
    SidesPanel,
    TimePanel,
)
from annotation.dashboards.progress import ProgressPanel
from annotation.dashboards.saying import NO_MAJORITY, LabelShares, LabelsPanel
from annotation.statistics.clustered import Figure
from annotation.templatetags.annotation_format import coefficient, percent

Charts = dict[str, Any]
_MOST_ROWS = 20
_MOST_WITH_TEXT = 14  # columns of a heat map whose cells hold text; the template says so too


def charts_of(name: str, panel: Any) -> Charts:
    """By the name under which the panel's template asks for them."""
    draw = _DRAW.get(name)
    return draw(panel) if draw else {}


def _percent_ticks(value: float) -> str:
    return percent(value)


def _between(figure: Figure, text: Callable[[float | None], str] = coefficient) -> str:
    if figure.value is None:
        return _("undefined")
    if figure.low is None:
        return text(figure.value)
    return _("%(value)s (%(low)s to %(high)s)") % {
        "value": text(figure.value),
        "low": text(figure.low),
        "high": text(figure.high),
    }


# Words for labels, in the order of the bar.


def word_title(word: str) -> str:
    known = {
        "A": _("A better"),
        "tie": _("Same"),
        "B": _("B better"),
        "invalid": _("Invalid"),
        NO_MAJORITY: _("No majority"),
    }
    return known.get(word, word)


# Progress.


def _progress(panel: ProgressPanel) -> Charts:
    people, pairs = panel.people, panel.pairs
    total = pairs.untouched + pairs.partly + pairs.complete + pairs.withdrawn
    parts = [
        ("complete", _("complete"), pairs.complete),
        ("partly", _("partly voted"), pairs.partly),
        ("untouched", _("without a vote"), pairs.untouched),
        ("withdrawn", _("withdrawn"), pairs.withdrawn),
    ]
    steps = [
        (_("Invited"), people.places),
        (_("Joined"), people.joined),
        (_("Consented"), people.consented),
        (_("Qualified"), people.qualified),
        (_("Voting"), people.voting),
        (_("Active today"), people.active),
    ]
    days = panel.votes_per_day
    return {
        "pairs": stack(
            [(word, title, count / total, f"{title}: {count:,}") for word, title, count in parts]
            if total
            else []
        ),
        "people": _funnel([(title, count) for title, count in steps if count is not None]),
        "days": bars_chart(
            _("Votes per day"),
            [count for _day, count in days],
            [day[5:] for day, _count in days],
            [
                ngettext("%(day)s: %(n)s vote", "%(day)s: %(n)s votes", count)
                % {"day": day, "n": f"{count:,}"}
                for day, count in days
            ],
        )
        if len(days) > 1
        else None,
    }


def _funnel(steps: Sequence[tuple[str, int]]) -> list[tuple[str, int, tuple[Segment, ...]]]:
    widest = max([count for _title, count in steps] or [0]) or 1
    return [
        (title, count, stack([("step", title, count / widest, f"{title}: {count:,}")]))
        for title, count in steps
    ]


# Agreement.


def _agreement(panel: AgreementPanel) -> Charts:
    scale = Scale(-0.2, 1.0)
    return {
        row.key: rows_chart(row.title, scale, _coefficients(row, single=panel.single), line=0.0)
        for row in panel.dimensions
        if row.alpha_nominal.value is not None
    }


def _coefficients(row: DimensionAgreement, *, single: bool) -> list[Row]:
    named = [
        (_("Alpha, nominal"), row.alpha_nominal),
        (_("Alpha, ordinal"), row.alpha_ordinal),
        *([(_("Alpha, interval"), row.alpha_interval)] if single else []),
        (_("AC1"), row.ac1),
        (_("Raw"), row.raw),
    ]
    return [
        Row(
            title,
            (Span("accent", f"{title}: {_between(each)}", each.value, each.low, each.high),),
            after=coefficient(each.value),
        )
        for title, each in named
    ]


def _over_time(panel: AgreementOverTime) -> Charts:
    return {
        "tenths": _agreement_curve(panel, _("Alpha by tenths of the campaign"), panel.tenths),
        "days": _agreement_curve(panel, _("Alpha by day"), panel.days)
        if len(panel.days) > 1
        else None,
    }


def _agreement_curve(
    panel: AgreementOverTime, title: str, periods: Sequence[Period]
) -> Lines | None:
    if not periods:
        return None
    series = [
        Series(key, tuple(_point(period.alpha[place]) for period in periods))
        for place, key in enumerate(panel.keys)
    ]
    tips = [
        "\n".join(
            [
                _("%(period)s, %(n)s questions") % {"period": each.name, "n": f"{each.units:,}"},
                *(
                    f"{key}: {_between(alpha)}"
                    for key, alpha in zip(panel.keys, each.alpha, strict=True)
                ),
            ]
        )
        for each in periods
    ]
    names = [period.name[5:] if "-" in period.name else period.name for period in periods]
    return lines_chart(title, names, series, tips, bounds=(-1.0, 1.0), text=coefficient)


def _point(figure: Figure) -> tuple[float, float | None, float | None] | None:
    return None if figure.value is None else (figure.value, figure.low, figure.high)


def _kappa(panel: KappaPanel) -> Charts:
    return {
        each.key: _kappa_heat(panel, each) for each in panel.dimensions if each.spread is not None
    }


def _kappa_heat(panel: KappaPanel, each: DimensionKappas) -> Heat:
    """Above the diagonal kappa, below it how many questions two people have in common.

    Where cells are too small for text, kappa stands on both sides.
    """
    small = len(panel.people) > _MOST_WITH_TEXT
    rows = [
        HeatRow(
            panel.people[i],
            tuple(_kappa_cell(panel, cell, (i, j), small=small) for j, cell in enumerate(line)),
        )
        for i, line in enumerate(each.cells)
    ]
    return Heat(each.title, "heat", panel.people, tuple(rows), small=small)


def _kappa_cell(
    panel: KappaPanel, cell: KappaCell, place: tuple[int, int], *, small: bool
) -> HeatCell:
    i, j = place
    if i == j:
        return HeatCell("", None, "")
    tip = _("%(one)s and %(other)s: %(kappa)s; %(n)s in common") % {
        "one": panel.people[i],
        "other": panel.people[j],
        "kappa": _kappa_words(cell, panel.min_shared),
        "n": f"{cell.shared:,}",
    }
    if i > j and not small:
        text = f"{cell.shared:,}" if cell.shared < 10_000 else f"{cell.shared // 1000}k"
        return HeatCell(text, None, tip)
    text = "" if cell.kappa is None else coefficient(cell.kappa)
    return HeatCell(text, level(cell.kappa, 0.0, 1.0), tip)


def _kappa_words(cell: KappaCell, min_shared: int) -> str:
    if cell.kappa is not None:
        return _between(Figure(cell.kappa, cell.low, cell.high))
    return _("too few in common") if cell.shared < min_shared else _("undefined: no variation")


# Labels.


def _labels(panel: LabelsPanel) -> Charts:
    return {
        row.key: {
            "judgements": _share_bar(panel.words, row.shares),
            "consensus": _share_bar((*panel.words, NO_MAJORITY), row.consensus),
        }
        for row in panel.dimensions
    } | {"words": _given(panel.words, panel.dimensions)}


def _share_bar(words: Sequence[str], shares: dict[str, float]) -> tuple[Segment, ...]:
    return stack(
        [
            (f"share-{word}", word_title(word), shares.get(word, 0.0),
             f"{word_title(word)}: {percent(shares.get(word, 0.0))}")
            for word in words
        ]
    )  # fmt: skip


def _given(words: Sequence[str], rows: Sequence[LabelShares]) -> list[tuple[str, str]]:
    """The labels that anybody gave, for the legend."""
    given = {
        word
        for row in rows
        for each in (row.shares, row.consensus)
        for word, n in each.items()
        if n
    }
    return [(word, word_title(word)) for word in (*words, NO_MAJORITY) if word in given]


# People.


def _sides(panel: SidesPanel) -> Charts:
    rows = [*([panel.overall] if panel.overall else []), *panel.dimensions]
    known = [row for row in (*rows, *panel.people) if row.share is not None]
    widest = max(
        [abs(end - 0.5) for row in known for end in (row.low or 0.5, row.high or 0.5)] or [0]
    )
    reach = min(0.5, max(0.05, widest * 1.1))
    scale = Scale(0.5 - reach, 0.5 + reach)
    people = sorted(panel.people, key=lambda row: -abs(row.effect or 0.0))[:_MOST_ROWS]
    return {
        "whole": _side_rows(_("All, and by dimension"), scale, rows),
        "people": _side_rows(_("Annotators, strongest lean first"), scale, people),
    }


def _side_rows(title: str, scale: Scale, rows: Sequence[SideRow]) -> Rows:
    drawn = [
        Row(
            _("all votes") if row.name == "all" else row.name,
            (
                Span(
                    "warn" if row.leans else "accent",
                    _("%(name)s: left in %(share)s of %(n)s, p = %(p)s")
                    % {
                        "name": row.name,
                        "share": _between(Figure(row.share, row.low, row.high), percent),
                        "n": f"{row.decided:,}",
                        "p": f"{row.p:.2g}",
                    },
                    row.share,
                    row.low,
                    row.high,
                ),
            ),
            after=percent(row.share),
            note=_leaning_words(row.leans),
        )
        for row in rows
        if row.p is not None
    ]
    return rows_chart(title, scale, drawn, line=0.5, text=_percent_ticks)


def _leaning_words(side: str) -> str:
    return {"left": _("leans left"), "right": _("leans right")}.get(side, "")


def _time(panel: TimePanel) -> Charts:
    if not panel.bins:
        return {}
    last = len(panel.bins) - 1
    slowest = max(row.high for row in panel.people)
    scale = Scale(0, slowest)
    return {
        "distribution": bars_chart(
            _("Seconds per vote"),
            [each.votes for each in panel.bins],
            [f"{each.low:g} s" for each in panel.bins],
            [
                (
                    _("%(low)g s or more: %(n)s votes")
                    if place == last
                    else _("%(low)g to %(high)g s: %(n)s votes")
                )
                % {"low": each.low, "high": each.high, "n": f"{each.votes:,}"}
                for place, each in enumerate(panel.bins)
            ],
        ),
        "people": rows_chart(
            _("Median and quartiles, slowest first"),
            scale,
            [_pace_row(row) for row in panel.people[:_MOST_ROWS]],
            text=lambda value: f"{value:g} s",
        ),
        "trend": lines_chart(
            _("By tenths of each annotator's own votes"),
            [row.name for row in panel.trend],
            [Series(_("median"), tuple((row.median, row.low, row.high) for row in panel.trend))],
            [_pace_tip(row) for row in panel.trend],
            bounds=(0.0, float("inf")),
            text=lambda value: f"{value:g} s",
        )
        if len(panel.trend) > 1
        else None,
    }


def _pace_tip(row: PaceRow) -> str:
    return _("%(name)s: median %(median).1f s, half of the votes in %(low).1f to %(high).1f s") % {
        "name": row.name, "median": row.median, "low": row.low, "high": row.high,
    }  # fmt: skip


def _pace_row(row: PaceRow) -> Row:
    span = Span("accent", _pace_tip(row), row.median, row.low, row.high)
    return Row(row.name, (span,), after=f"{row.median:.1f} s")


def _confusion(panel: ConfusionPanel) -> Charts:
    return {each.key: _confusion_heat(panel.scale, each) for each in panel.dimensions}


def _confusion_heat(scale: Sequence[str], each: DimensionConfusion) -> Heat:
    words = [word_title(word) for word in scale]
    rows = []
    for person in each.people[:_MOST_ROWS]:
        cells = [
            HeatCell(
                f"{100 * share:.0f}",
                level(share, 0.0, 1.0),
                _("%(name)s: where the consensus is %(true)s, says %(said)s in %(share)s")
                % {"name": person.name, "true": true, "said": said, "share": percent(share)},
            )
            for true, line in zip(words, person.table, strict=True)
            for said, share in zip(words, line, strict=True)
        ]
        rows.append(HeatRow(person.name, tuple(cells)))
    columns = tuple(f"{true} → {said}" for true in scale for said in scale)
    return Heat(each.title, "heat", columns, tuple(rows), small=len(columns) > 12)


# Generators.


def _generators(panel: GeneratorsPanel) -> Charts:
    return {
        board.key: {"board": _board(board, single=panel.single), "wins": _wins(board)}
        for board in panel.dimensions
    }


def _board(board: Leaderboard, *, single: bool) -> Rows:
    ends = [_end(row, single=single) for row in board.places]
    low = min(each[1] for each in ends)
    high = max(each[2] for each in ends)
    margin = (high - low) * 0.05 or 1
    rows = [
        _place_row(row, *each, single=single) for row, each in zip(board.places, ends, strict=True)
    ]
    return rows_chart(
        board.title, Scale(low - margin, high + margin), rows, line=None if single else 1000.0
    )


def _end(row: Place, *, single: bool) -> tuple[float, float, float]:
    values = (
        (row.score, row.score_low, row.score_high)
        if single
        else (row.elo, row.elo_low, row.elo_high)
    )
    return tuple(value if value is not None else 0.0 for value in values)  # type: ignore[return-value]


def _place_row(row: Place, value: float, low: float, high: float, *, single: bool) -> Row:
    text: Callable[[float | None], str] = coefficient if single else _elo
    ranks = (
        str(row.best_rank)
        if row.best_rank == row.worst_rank
        else f"{row.best_rank}–{row.worst_rank}"
    )
    tip = _("%(name)s: %(value)s, rank %(ranks)s, %(n)s judgements") % {
        "name": row.generator,
        "value": _between(Figure(value, low, high), text),
        "ranks": ranks,
        "n": f"{row.judgements:,}",
    }
    return Row(
        row.generator, (Span("accent", tip, value, low, high),), before=ranks, after=text(value)
    )


def _elo(value: float | None) -> str:
    return f"{value or 0:.0f}"


def _wins(board: Leaderboard) -> Heat | None:
    if not board.duels:
        return None
    names = [row.generator for row in board.places]
    rows = []
    for name, line in zip(names, board.duels, strict=True):
        cells = [
            HeatCell(
                "" if duel.share is None else f"{100 * duel.share:.0f}",
                level(duel.share, 0.0, 1.0),
                ""
                if duel.share is None
                else _("%(name)s against %(other)s: %(wins)s won, %(ties)s tied, %(losses)s lost")
                % {
                    "name": name,
                    "other": other,
                    "wins": f"{duel.wins:,}",
                    "ties": f"{duel.ties:,}",
                    "losses": f"{duel.losses:,}",
                },
            )
            for other, duel in zip(names, line, strict=True)
        ]
        rows.append(HeatRow(name, tuple(cells)))
    return Heat(board.title, "lean", tuple(names), tuple(rows), small=len(names) > 14)


# Dataset.


def _dataset(panel: DatasetPanel) -> Charts:
    most = max([count for _name, count in panel.categories] or [0]) or 1
    categories = [
        (
            name or _("no category"),
            count,
            stack([("step", name, count / most, f"{name or _('no category')}: {count:,}")]),
        )
        for name, count in panel.categories
    ]
    lengths: Bars | None = None
    if panel.lengths:
        lengths = bars_chart(
            _("Words per prompt"),
            [each.prompts for each in panel.lengths],
            [str(each.low) for each in panel.lengths],
            [
                _("%(low)s to %(high)s words: %(n)s prompts")
                % {"low": each.low, "high": each.high, "n": f"{each.prompts:,}"}
                for each in panel.lengths
            ],
        )
    words = [word for row in panel.labels[:1] for word in reversed(list(row.shares))]
    ordered = [*(word for word in words if word != "invalid"), "invalid"]
    if panel.single:
        ordered = [*reversed(ordered[:-1]), "invalid"]
    return {
        "categories": categories,
        "lengths": lengths,
        "labels": {
            row.key: {
                "judgements": _share_bar(ordered, row.shares),
                "consensus": _share_bar((*ordered, NO_MAJORITY), row.consensus),
            }
            for row in panel.labels
        },
        "words": _given(ordered, panel.labels),
    }


_DRAW: Final[dict[str, Callable[[Any], Charts]]] = {
    "progress": _progress,
    "labels": _labels,
    "agreement": _agreement,
    "agreement-over-time": _over_time,
    "kappa": _kappa,
    "sides": _sides,
    "time": _time,
    "confusion": _confusion,
    "generators": _generators,
    "dataset": _dataset,
}
