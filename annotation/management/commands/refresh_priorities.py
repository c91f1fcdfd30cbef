from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.designs import First, refresh_priorities
from annotation.models import Campaign


class Command(BaseCommand):
    help = "Put the open pairs of a campaign into a new order."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign", help="name of the campaign")
        parser.add_argument(
            "--first", choices=[each.value for each in First], required=True, help="what goes first"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        campaign = Campaign.objects.filter(name=options["campaign"]).first()
        if campaign is None:
            raise CommandError(f"there is no campaign {options['campaign']!r}")
        moved = refresh_priorities(campaign, First(options["first"]))
        self.stdout.write(f"{moved} pairs have a new place")
