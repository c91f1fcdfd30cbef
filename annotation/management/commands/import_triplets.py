from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.errors import AnnotationError
from annotation.imports.faults import further_faults
from annotation.imports.reading_in import Target, import_rows
from annotation.imports.sources import opened
from annotation.imports.tables import Labels
from annotation.models import CampaignKind


class Command(BaseCommand):
    help = (
        "Import pairs, labels, votes or clips: a table (CSV, JSON lines, Parquet, Label Studio"
        " JSON), a folder, a zip; exports of snapshots and datasets of Hugging Face, too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--campaign", required=True, help="made if it is not there")
        parser.add_argument(
            "--clips", type=Path, help="folder that the paths start from (default: the file's)"
        )
        parser.add_argument(
            "--dimension-set", default="videoalign", help="of a new campaign (videoalign)"
        )
        parser.add_argument(
            "--kind", choices=CampaignKind.values, default="pairwise", help="of a new campaign"
        )
        parser.add_argument(
            "--labels",
            choices=[each.value for each in Labels],
            default=Labels.AUTO.value,
            help="needed: refuse a file that brings none",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        target = Target(options["campaign"], options["dimension_set"], {"kind": options["kind"]})
        try:
            with opened(options["file"], clips=options["clips"], links=True) as source:
                report = import_rows(source, target, labels=Labels(options["labels"]))
        except AnnotationError as error:
            raise CommandError("\n".join(_told(error))) from None
        for line in report.lines():
            self.stdout.write(line)


def _told(error: AnnotationError) -> list[str]:
    return [error.message, *further_faults(error)]
