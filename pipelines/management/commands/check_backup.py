from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipelines.backups.checking import check
from pipelines.errors import PipelineError


class Command(BaseCommand):
    help = (
        "Restore a backup into a database beside the site's, ask whether all is there, remove it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", type=Path, help="folder of backups")
        parser.add_argument("--name", default="", help="which one; the newest if none is given")
        parser.add_argument("--all-files", action="store_true", help="read every file of it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = check(options["source"], name=options["name"], every_file=options["all_files"])
        except PipelineError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"backup {done.backup.name} can be restored: {done.rows} rows and {done.files} files"
            f" are there; {done.seconds:.1f} s"
        )
