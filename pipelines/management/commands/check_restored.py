from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipelines.backups.checking import ask_copy
from pipelines.errors import PipelineError


class Command(BaseCommand):
    help = "What check_backup asks of its copy: DATABASE_URL names it, the files are in the backup."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", type=Path, help="folder of backups")
        parser.add_argument("--name", required=True, help="which one")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            ask_copy(options["source"], options["name"])
        except PipelineError as error:
            raise CommandError(str(error)) from None
