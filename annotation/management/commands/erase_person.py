from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.accounts import erasing
from annotation.errors import AnnotationError


class Command(BaseCommand):
    help = "Forget a person: name, address, log-ins, sessions, texts. What they judged stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--yes", action="store_true", help="do it; otherwise only say what")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"there is no account {options['username']!r}")
        if not options["yes"]:
            self.stdout.write(f"user {user.pk} would be erased for good; say --yes")
            return
        try:
            left = erasing.erase(None, user.pk)
        except AnnotationError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"user {user.pk} is erased")
        if left:
            raise CommandError(
                "their name still stands in texts of others; look at these: " + ", ".join(left)
            )
