"""`manage.py register_base_model NAME`: the operator allows a base model by id or folder."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipelines.errors import PipelineError
from pipelines.models import BaseModel
from pipelines.registry import add_base_model


class Command(BaseCommand):
    help = "Registers a base model: a local folder, or a public id with its pinned commit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--role", required=True, choices=BaseModel.Role.values)
        parser.add_argument("--source", required=True, help="owner/name, or an absolute folder")
        parser.add_argument("--revision", default="", help="the commit, for a public id")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            model = add_base_model(
                options["name"], options["role"], options["source"], options["revision"]
            )
        except PipelineError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"base model {model.pk}: {model.name} ({model.role}, {model.source})")
