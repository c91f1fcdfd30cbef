from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.models import Campaign
from annotation.raw_votes import WRITERS


class Command(BaseCommand):
    help = "Write every vote of a campaign, people under pseudonyms, as JSON lines or Parquet."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign", help="name of the campaign")
        parser.add_argument("file", type=Path, help="ends in .jsonl or .parquet")

    def handle(self, *args: Any, **options: Any) -> None:
        campaign = Campaign.objects.filter(name=options["campaign"]).first()
        if campaign is None:
            raise CommandError(f"there is no campaign {options['campaign']!r}")
        target: Path = options["file"]
        write = WRITERS.get(target.suffix.removeprefix("."))
        if write is None:
            raise CommandError(f"{target}: expected a name that ends in .jsonl or .parquet")
        if target.exists():
            raise CommandError(f"{target}: the file is there already and is never overwritten")
        count = write(campaign, target)
        self.stdout.write(f"{target}: {count} votes of {campaign.name!r}")
