"""`manage.py start_retest --input candidate=artifact:12 --user NAME`: the door of the button."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from pipelines.command_lines import INPUT, config_in, inputs_of, user_named
from pipelines.errors import PipelineError
from pipelines.retests.starting import start_retest


class Command(BaseCommand):
    help = "Starts a human re-test: a blind campaign of two sides, its count, a report."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--input",
            action="append",
            default=[],
            metavar=INPUT,
            help="evaluation; or candidate and base: adapters or sets of clips",
        )
        parser.add_argument("--config", type=Path, help="a JSON file; entries: docs/retest.md")
        parser.add_argument("--user", required=True, help="whose runs they are")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sources, _ = inputs_of(options["input"])
            config = config_in(options["config"]) if options["config"] else {}
            group = start_retest(config, sources, user_named(options["user"]))
        except (PipelineError, FormatError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"re-test {group.pk} ({group.name}): {group.runs.count()} runs are queued"
        )
