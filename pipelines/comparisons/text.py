"""The table of a comparison in plain columns, for the terminal."""

from collections.abc import Mapping

from pipelines.comparisons.members import Member, Rate, Table
from pipelines.run_pages import cell


def as_text(table: Table) -> str:
    """One block per member: settings, training, win rates by judge and dimension."""
    return "\n".join(line for member in table.members for line in _lines(member)).rstrip() + "\n"


def _lines(member: Member) -> list[str]:
    differs = ", ".join(f"{name} {value}" for name, value in member.differs.items())
    training = ", ".join(
        f"{name.replace('_', ' ')} {cell(value)}" for name, value in member.training.items()
    )
    lines = [f"{member.name} (run {member.run.pk}, {member.run.state}): {differs}"]
    lines += [f"  {training}"] if training else []
    for judge, rates in member.rates.items():
        lines += _rates(judge, rates)
    if member.motion is not None:
        lines.append(f"  motion       {member.motion.change:+.3f}")
    return [*lines, ""]


def _rates(judge: str, rates: Mapping[str, Rate]) -> list[str]:
    return [
        f"  {judge:12} {key:12} {rate.rate:.3f}  {rate.low:.3f} – {rate.high:.3f}"
        f"{'  best' if rate.best else ''}"
        for key, rate in rates.items()
    ]
