"""`manage.py demo_report`: the figures of the newest report, as text."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from pipelines.figures import figures_of
from pipelines.reporting import as_text, newest, read_report


class Command(BaseCommand):
    help = "Prints the figures of the newest report."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", type=Path, help="write the figures to this file as well")
        parser.add_argument("--seed", type=int, default=0, help="of the demo, for that file")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            content = read_report(newest())
        except FormatError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(as_text(content), ending="")
        if options["json"]:
            figures = figures_of(content, options["seed"])
            options["json"].write_text(json.dumps(figures, indent=1) + "\n")
