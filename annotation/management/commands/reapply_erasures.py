from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.accounts import erasing
from annotation.accounts.tombstones import TombstonesDamaged


class Command(BaseCommand):
    help = "After a restore: erase again whoever was erased since the backup was taken."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = erasing.reapply()
        except TombstonesDamaged as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"erased again: {len(found.erased)}; erased already: {len(found.already)};"
            f" not in this database: {len(found.absent)};"
            f" numbers that are other people's now: {len(found.others)}"
        )
