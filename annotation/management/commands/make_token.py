from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.access.scopes import SCOPES
from annotation.accounts.tokens import TokenRefused, make_token
from annotation.models import Campaign


class Command(BaseCommand):
    help = "Make an API token for a person and print it, once: its hash alone is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", required=True, help="what it is for")
        parser.add_argument("--days", type=int, default=90, help="how long it lives (90)")
        parser.add_argument(
            "--scope",
            action="append",
            choices=SCOPES,
            help="what it may be used for; may be given several times (all, if not given)",
        )
        parser.add_argument("--campaign", help="the name of the only campaign that it is for")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"there is no active account {options['username']!r}")
        campaign = Campaign.objects.filter(name=options["campaign"]).first()
        if options["campaign"] and campaign is None:
            raise CommandError(f"there is no campaign {options['campaign']!r}")
        try:
            _token, secret = make_token(
                user,
                options["name"],
                days=options["days"],
                scopes=options["scope"] or SCOPES,
                campaign=campaign,
            )
        except TokenRefused as error:
            raise CommandError(error.message) from None
        self.stdout.write(secret)
