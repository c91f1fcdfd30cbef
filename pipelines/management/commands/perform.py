"""`manage.py perform RUN_DIR`: the child process of a Django-bound run. Started by supervisors."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.memory import Peaks
from formats.run_dir import RunDir
from formats.supervised import supervise
from pipelines import kinds
from pipelines.models import Run


class Command(BaseCommand):
    requires_system_checks = []  # Its supervisor has checked.
    help = "Performs a Django-bound run in its run directory. Supervisors call this."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_dir", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["run_dir"]
        run = Run.objects.filter(pk=folder.name).first() if folder.name.isdigit() else None
        if run is None:
            raise CommandError(f"{folder} is not the directory of a run")
        perform = kinds.get(run.kind).perform
        if perform is None:
            raise CommandError(f"run {run.pk} is a {run.kind} run, which is not Django-bound")
        sys.exit(supervise(perform, RunDir(folder), _observe))


def _observe(run_dir: RunDir) -> None:
    run_dir.peaks = Peaks()
