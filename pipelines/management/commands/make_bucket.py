from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pipelines.buckets import ensure
from pipelines.errors import PipelineError


class Command(BaseCommand):
    help = "Make the buckets of MEDIA_STORAGE_URL and ARTIFACT_STORE_URL where they are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            for name, made in ensure().items():
                self.stdout.write(f"bucket {name} {'made' if made else 'was there'}")
        except PipelineError as error:
            raise CommandError(str(error)) from None
