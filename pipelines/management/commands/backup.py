from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipelines.backups.taking import take
from pipelines.errors import PipelineError


class Command(BaseCommand):
    help = "Write database, media, runs and the store into a folder of backups, each content once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target", type=Path, help="folder of backups; made if it is not there")
        parser.add_argument(
            "--keep", type=int, default=0, help="remove all but so many; 0 keeps all"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = take(options["target"], keep=options["keep"])
        except PipelineError as error:
            raise CommandError(str(error)) from None
        about = done.about
        self.stdout.write(
            f"backup {done.name}: {sum(about.tables.values())} rows of {about.engine},"
            f" {about.files} files, {about.bytes / 1e6:.1f} MB"
        )
