"""`manage.py disk_use`: what takes how much room, and what could go."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.template.defaultfilters import filesizeformat

from pipelines.store.usage import DiskUse, disk_use


class Command(BaseCommand):
    help = "Says how much room runs, store, media and database take."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="in bytes, for tools")

    def handle(self, *args: Any, **options: Any) -> None:
        use = disk_use()
        if options["json"]:
            self.stdout.write(json.dumps(use.to_json(), indent=1))
        else:
            self.stdout.write("\n".join(in_words(use)).replace("\xa0", " "))


def in_words(use: DiskUse) -> list[str]:
    lines = [f"{filesizeformat(use.free)} of {filesizeformat(use.total)} are free"]
    for row in (*use.places, *use.parts):
        inside = "  of runs: " if row in use.parts else ""
        lines.append(f"{inside}{row.name}: {filesizeformat(row.bytes)} in {row.files} files")
    lines.append(
        f"{use.blobs} blobs hold {filesizeformat(use.blob_bytes)}, for artifacts of "
        f"{filesizeformat(use.artifact_bytes)}"
    )
    lines.append(
        f"{use.unwanted} blobs ({filesizeformat(use.unwanted_bytes)}) could go: collect_garbage"
    )
    lines += [
        f"run {each.run}: {filesizeformat(each.bytes)} ({each.state})" for each in use.largest
    ]
    return lines
