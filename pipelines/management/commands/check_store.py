"""`manage.py check_store`: is every byte that a row promises there, and the same as ever?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipelines.store.checking import adopt, damaged


class Command(BaseCommand):
    help = "Reads every blob that an artifact refers to and hashes it again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--adopt",
            action="store_true",
            help="first put artifacts that were made before there was a store into it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        faults = []
        for artifact, fault in adopt() if options["adopt"] else ():
            self.stdout.write(f"artifact {artifact.pk}: {fault or 'is in the store now'}")
            faults += [fault] if fault else []
        for fault in damaged():
            self.stdout.write(fault)
            faults.append(fault)
        if faults:
            raise CommandError(f"{len(faults)} faults in the store")
        self.stdout.write("Every blob is there, and is what its hash says.")
