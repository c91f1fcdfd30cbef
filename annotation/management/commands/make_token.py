from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.tokens import TokenRefused, make_token


class Command(BaseCommand):
    help = "Make an API token for a person and print it, once: its hash alone is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", required=True, help="what it is for")
        parser.add_argument("--days", type=int, default=90, help="how long it lives (90)")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"there is no active account {options['username']!r}")
        try:
            _token, secret = make_token(user, options["name"], days=options["days"])
        except TokenRefused as error:
            raise CommandError(error.message) from None
        self.stdout.write(secret)
