"""Look for everything that an operator should see to. Exit code 1 where something stands."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pipelines import alerts


class Command(BaseCommand):
    help = "Look for what is wrong now (no votes, no worker, frozen run, full disk, clock)."

    def handle(self, *_args: Any, **_options: Any) -> None:
        standing = alerts.watch()
        for each in standing:
            self.stdout.write(f"{each.key} ({each.about}): {each.message} {each.advice}")
        if standing:
            raise CommandError(f"{len(standing)} alerts stand", returncode=1)
        self.stdout.write("nothing is wrong")
