from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.errors import AnnotationError
from annotation.imports import import_videoalign


class Command(BaseCommand):
    help = "Import labelled pairs from a VideoAlign CSV; the campaign is made if it is not there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--campaign", required=True, help="name of the campaign")
        parser.add_argument(
            "--clips", type=Path, help="folder that the paths start from (default: the file's)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = import_videoalign(options["file"], options["campaign"], clips=options["clips"])
        except AnnotationError as error:
            raise CommandError(error.message) from None
        for line in report.lines():
            self.stdout.write(line)
