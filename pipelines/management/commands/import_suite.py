"""`manage.py import_suite FILE --name NAME`: a list of prompts becomes a suite."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from pipelines.suites.shelf import Given, import_suite


class Command(BaseCommand):
    help = (
        "Imports a prompt suite, whole or not at all: a .csv, .jsonl or .txt file, or a folder or "
        "zip archive with one table beside its reference images."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--images", type=Path, help="the folder that paths of image_path start from"
        )
        parser.add_argument("--name", required=True)
        parser.add_argument("--title", default="")
        parser.add_argument(
            "--repair", action="store_true", help="take text that was encoded twice as it was meant"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = import_suite(
                Given(options["file"], images=options["images"], links=True),
                options["name"],
                title=options["title"],
                repair=options["repair"],
            )
        except FormatError as error:
            raise CommandError(str(error)) from error
        for line in (*report.warnings, *report.duplicates):
            self.stderr.write(line)
        skipped = f", {len(report.duplicates)} duplicates skipped" if report.duplicates else ""
        self.stdout.write(f"suite {report.suite.name!r}: {report.prompts} prompts{skipped}")
