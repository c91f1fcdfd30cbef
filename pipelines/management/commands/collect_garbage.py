"""`manage.py collect_garbage`: what nothing refers to any more leaves the disk."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipelines.errors import PipelineError
from pipelines.store.collecting import as_words, collect


class Command(BaseCommand):
    help = "Removes blobs that no artifact refers to, and what killed runs have left."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")
        parser.add_argument(
            "--checkpoints",
            type=float,
            metavar="DAYS",
            help="also the training states of runs that succeeded so long ago",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = collect(
                dry_run=options["dry_run"], checkpoints_after_days=options["checkpoints"]
            )
        except PipelineError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(as_words(done, dry_run=options["dry_run"]))
