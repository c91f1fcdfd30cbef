from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.designs import Wish, create_pairs, propose_pairs
from annotation.errors import AnnotationError
from annotation.models import Campaign
from annotation.statistics.strategies import Strategy


class Command(BaseCommand):
    help = "Say which pairs a strategy would ask about, and with --create ask about them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign", help="name of the campaign")
        parser.add_argument("--strategy", choices=[each.value for each in Strategy], required=True)
        parser.add_argument("--budget", type=int, help="at most so many pairs")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--category", default="", help="of the prompts")
        parser.add_argument("--create", action="store_true", help="write them")

    def handle(self, *args: Any, **options: Any) -> None:
        campaign = Campaign.objects.filter(name=options["campaign"]).first()
        if campaign is None:
            raise CommandError(f"there is no campaign {options['campaign']!r}")
        names = ("budget", "seed", "category")
        wish = Wish(Strategy(options["strategy"]), **{name: options[name] for name in names})
        try:
            proposal = propose_pairs(campaign, wish)
            for name, value in asdict(proposal.plan).items():
                self.stdout.write(f"{name}: {value}")
            if options["create"]:
                self.stdout.write(f"created: {create_pairs(campaign, proposal)}")
        except AnnotationError as error:
            raise CommandError(error.message) from None
