"""`manage.py export SNAPSHOT --format FORMAT`: a snapshot for another tool."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from pipelines.exporting import FORMATS, SUFFIXES, export, find_snapshot


class Command(BaseCommand):
    help = "Exports a snapshot (its id or the beginning of its sha256)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("snapshot")
        parser.add_argument("--format", required=True, choices=list(FORMATS))
        parser.add_argument("--output", type=Path, help="file or folder; never overwritten")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["format"]
        try:
            artifact = find_snapshot(options["snapshot"])
            target = options["output"] or Path(f"snapshot-{artifact.pk}-{name}{SUFFIXES[name]}")
            done = export(artifact, name, target)
        except FormatError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{done.path}: {done.rows} rows")
        for key, counts in done.left_out.items():
            if any(counts.values()):
                words = ", ".join(f"{word} {n}" for word, n in counts.items() if n)
                self.stdout.write(f"  {key}: the format has no place for {words}")
