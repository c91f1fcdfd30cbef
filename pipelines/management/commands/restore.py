from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipelines.backups.restoring import restore
from pipelines.errors import PipelineError


class Command(BaseCommand):
    help = "Fill an empty site from a backup, bring it to this version, and check what came back."
    # The tables may not be there yet.
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", type=Path, help="folder of backups")
        parser.add_argument("--name", default="", help="which one; the newest if none is given")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = restore(options["source"], name=options["name"])
        except PipelineError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"restored {done.backup.name} in {done.seconds:.1f} s: {done.rows} rows,"
            f" {done.files} files, all as they were; {done.erased_again} people were erased again."
            " Everybody has to log in anew."
        )
