"""`manage.py worker`: the worker that needs no broker."""

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipelines.checks import TAG
from pipelines.errors import InvalidRunConfig
from pipelines.models import QueueName
from pipelines.worker import Worker
from pipelines.worker_labels import parsed


class Command(BaseCommand):
    requires_system_checks = [TAG]  # Not the pages: a worker has none.
    help = "Claims queued runs and supervises them. Ctrl-C stops it; its runs go on later."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queues", default=",".join(QueueName.values))
        parser.add_argument(
            "--label",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="what this worker has beside cores, memory and GPUs; runs may need it",
        )
        parser.add_argument("--slots", type=int, default=1, help="runs at the same time")
        parser.add_argument("--once", action="store_true", help="at most one run, then leave")
        parser.add_argument(
            "--until-idle", action="store_true", help="leave when nothing is queued or running"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        queues = [name for name in options["queues"].split(",") if name]
        unknown = sorted(set(queues) - set(QueueName.values))
        if unknown or not queues:
            known = ", ".join(QueueName.values)
            raise CommandError(f"--queues must name some of {known}; got {options['queues']!r}")
        if options["slots"] < 1:
            raise CommandError(f"--slots must be 1 or more, got {options['slots']}")
        try:
            worker = Worker(queues, options["slots"], parsed(options["label"]))
        except InvalidRunConfig as error:
            raise CommandError(str(error)) from error
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.leave.set())
        if options["once"]:
            worker.run_once()
        else:
            worker.run(until_idle=options["until_idle"])
