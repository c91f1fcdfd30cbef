"""`manage.py demo_report`: the figures of the newest report, as text."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from formats.errors import FormatError
from pipelines.reporting import as_text, newest, read_report


class Command(BaseCommand):
    help = "Prints the figures of the newest report."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            text = as_text(read_report(newest()))
        except FormatError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(text, ending="")
