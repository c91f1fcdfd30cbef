"""`manage.py demo_report`: the figures of the newest report, as text."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from pipelines.loops.figures import figures_of
from pipelines.loops.times import loop_times
from pipelines.reporting import newest, read_report
from pipelines.reports.text import as_text


class Command(BaseCommand):
    help = "Prints the figures of the newest report."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", type=Path, help="write the figures to this file as well")
        parser.add_argument("--seed", type=int, default=0, help="of the demo, for that file")
        parser.add_argument(
            "--without-times", action="store_true", help="the machine did other work meanwhile"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = newest()
            content = read_report(report)
        except FormatError as error:
            raise CommandError(str(error)) from error
        times = {} if options["without_times"] else loop_times(report)
        self.stdout.write(as_text(content) + _times_text(times), ending="")
        if options["json"]:
            figures = figures_of(content, options["seed"]) | {"times": times}
            options["json"].write_text(json.dumps(figures, indent=1) + "\n")


def _times_text(times: Mapping[str, Any]) -> str:
    if not times:
        return ""
    lines = [f"from the first step to the report: {times['loop_seconds'] / 60:.1f} min"]
    if times["shared_seconds"]:
        lines[0] += f", of which {times['shared_seconds'] / 60:.1f} min beside the pretraining"
    if times["pretraining_seconds"] is not None:
        lines.append(f"pretraining of the bases: {times['pretraining_seconds'] / 60:.1f} min")
    if times["attempts"] > times["steps"]:
        lines.append("some steps were started more than once, so these times are not undisturbed")
    return "\n".join(lines) + "\n"
