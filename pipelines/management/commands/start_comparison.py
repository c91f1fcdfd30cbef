"""`manage.py start_comparison --config FILE`: the same door as the form."""

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from pipelines.command_lines import INPUT, config_in, inputs_of, user_named
from pipelines.comparisons.comparing import start_comparison
from pipelines.comparisons.config import KIND
from pipelines.comparisons.table import table_of
from pipelines.comparisons.text import as_text
from pipelines.errors import PipelineError
from pipelines.models import LoopGroup, RunState


class Command(BaseCommand):
    help = (
        "Starts several settings of an alignment as one group; with --wait follows it and prints "
        "the table."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--config", type=Path, required=True, help="a JSON file")
        parser.add_argument("--input", action="append", default=[], metavar=INPUT)
        parser.add_argument("--user", required=True, help="whose runs they are")
        parser.add_argument("--wait", action="store_true", help="follow them to their end")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sources, files = inputs_of(options["input"])
            config, user = config_in(options["config"]), user_named(options["user"])
            group = start_comparison(config, sources, user, files=files)
        except (PipelineError, FormatError) as error:
            raise CommandError(str(error)) from error
        count = group.runs.count()
        self.stdout.write(f"comparison {group.pk} ({group.name}): {count} runs are queued")
        if options["wait"]:
            self._follow(group)

    def _follow(self, group: LoopGroup) -> None:
        shown = ""
        while not all(run.has_ended for run in group.runs.all()):
            runs = list(group.runs.all())
            done = sum(run.state == RunState.SUCCEEDED for run in runs)
            if (line := f"{done} of {len(runs)} runs done") != shown:
                self.stdout.write(line)
                shown = line
            time.sleep(settings.TIEBREAK_RUN_POLL_SECONDS)
        members = list(group.runs.filter(kind=KIND).order_by("pk"))
        self.stdout.write(as_text(table_of(members)))
        failed = [str(run) for run in group.runs.exclude(state=RunState.SUCCEEDED)]
        if failed:
            raise CommandError(f"not done: {', '.join(failed)}")
