from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.models import Campaign
from annotation.promises import broken_promises


class Command(BaseCommand):
    help = "Ask the database whether all promises on votes hold; exit code 1 if one is broken."

    def handle(self, *args: Any, **options: Any) -> None:
        campaigns = Campaign.objects.select_related("dimension_set")
        broken = [
            f"{campaign.name}: {what}"
            for campaign in campaigns
            for what in broken_promises(campaign)
        ]
        if broken:
            raise CommandError("\n".join(broken))
        self.stdout.write(f"All is well in {len(campaigns)} campaigns.")
