"""`manage.py lineage FILE|SHA256`: where a file comes from, down to the votes."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipelines.errors import PipelineError
from pipelines.tracing import Lineage, trace


class Command(BaseCommand):
    help = "Says which runs a file comes from: code, configs, inputs, base models and votes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("asked", metavar="FILE|SHA256")
        parser.add_argument("--json", action="store_true", help="all of it, for tools")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = trace(options["asked"])
        except PipelineError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(found.to_json(), indent=1, default=str))
        else:
            self.stdout.write("\n".join(in_words(found)))
        if found.gaps:
            raise CommandError("The lineage has gaps: " + "; ".join(found.gaps))


def in_words(lineage: Lineage) -> list[str]:
    lines = [f"{each.what}: {each.name} ({each.sha256})" for each in lineage.found]
    for step in lineage.steps:
        lines.append(f"{step.run} [{step.run.kind}, {step.run.state}] config {step.run.config_sha}")
        lines += [
            f"  reads {row['role']}: {row['sha256']}" for row in _inputs(lineage, step.run.pk)
        ]
        lines += [f"  leaves {a.kind} {a.sha256}, by code {a.code}" for a in step.outputs]
    for each in lineage.votes:
        lines.append(
            f"{each.votes} votes of campaign {each.campaign_name!r} until {each.watermark}: "
            f"{each.pairs} pairs in snapshot {each.sha256}"
        )
    return lines


def _inputs(lineage: Lineage, run: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = next(
        each["inputs"] for each in lineage.to_json()["steps"] if each["run"] == run
    )
    return found
