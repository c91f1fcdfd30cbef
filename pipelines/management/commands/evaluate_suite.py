"""`manage.py evaluate_suite SUITE --input …`: the same door as the form."""

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from pipelines.command_lines import config_in, inputs_of, user_named
from pipelines.errors import PipelineError
from pipelines.models import LoopGroup, RunState
from pipelines.suites.evaluating import start_suite_evaluation


class Command(BaseCommand):
    help = (
        "Evaluates generators, adapters or clips on a suite: all runs up to the report; with --wait"
        " follows them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("suite")
        parser.add_argument("--config", type=Path, help="a JSON file (docs/suites.md)")
        parser.add_argument(
            "--input",
            action="append",
            default=[],
            metavar="ROLE=artifact:ID|base:NAME|run:ID",
            help="base, candidate:NAME, generator, judges:NAME, backbone",
        )
        parser.add_argument("--user", required=True, help="whose runs they are")
        parser.add_argument("--wait", action="store_true", help="follow them to their end")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sources, _files = inputs_of(options["input"])
            given = config_in(options["config"]) if options["config"] else {}
            config = {**given, "suite": options["suite"]}
            group = start_suite_evaluation(config, sources, user_named(options["user"]))
        except (PipelineError, FormatError) as error:
            raise CommandError(str(error)) from error
        count = group.runs.count()
        self.stdout.write(f"evaluation {group.pk} ({group.name}): {count} runs are queued")
        if options["wait"]:
            self._follow(group)

    def _follow(self, group: LoopGroup) -> None:
        shown = ""
        while not all(run.has_ended for run in group.runs.all()):
            done = group.runs.filter(state=RunState.SUCCEEDED).count()
            if (line := f"{done} of {group.runs.count()} runs done") != shown:
                self.stdout.write(line)
                shown = line
            time.sleep(settings.TIEBREAK_RUN_POLL_SECONDS)
        failed = [str(run) for run in group.runs.exclude(state=RunState.SUCCEEDED)]
        if failed:
            raise CommandError(f"not done: {', '.join(failed)}")
        self.stdout.write("all its runs are done")
