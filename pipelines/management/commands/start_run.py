"""`manage.py start_run KIND --config FILE`: the same door as the button."""

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from pipelines import kinds
from pipelines.command_lines import INPUT, config_in, inputs_of, user_named
from pipelines.errors import PipelineError
from pipelines.models import Run, RunState
from pipelines.starting import start_run
from pipelines.waiting import waiting_for
from pipelines.worker_labels import parsed


class Command(BaseCommand):
    help = "Queues a run; with --wait follows it and ends with 0 only if it succeeds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind")
        parser.add_argument("--config", type=Path, help="a JSON file")
        parser.add_argument(
            "--preset", help="a named config of the kind; entries of --config go before it"
        )
        parser.add_argument("--name", default="")
        parser.add_argument(
            "--input",
            action="append",
            default=[],
            metavar=INPUT,
        )
        parser.add_argument(
            "--need",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a label that its worker must have, as gpu_memory=40",
        )
        parser.add_argument("--user", help="whose run it is")
        parser.add_argument("--wait", action="store_true", help="follow it to its end")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sources, files = inputs_of(options["input"])
            run = start_run(
                options["kind"],
                _config_of(options),
                sources,
                files=files,
                user=user_named(options["user"]),
                name=options["name"],
                needs=parsed(options["need"]),
            )
        except (PipelineError, FormatError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"run {run.pk} ({run.kind}) is queued")
        if options["wait"]:
            self._follow(run)

    def _follow(self, run: Run) -> None:
        shown = ""
        while not run.has_ended:
            time.sleep(settings.TIEBREAK_RUN_POLL_SECONDS)
            run.refresh_from_db()
            line = waiting_for(run) or f"{run.state} {run.stage} {run.step}/{run.total}"
            if line != shown:
                self.stdout.write(line)
                shown = line
        if run.state != RunState.SUCCEEDED:
            raise CommandError(f"run {run.pk} {run.state}: {run.message}")
        self.stdout.write(f"run {run.pk} succeeded")


def _config_of(options: dict[str, Any]) -> Any:
    file, preset = options["config"], options["preset"]
    if file is None and preset is None:
        raise CommandError("the config is missing: name a file with --config, or a --preset")
    given = config_in(file) if file else {}
    if preset is None or not isinstance(given, dict):
        return given
    return kinds.get(options["kind"]).preset(preset, given)
