"""`manage.py import_vbench FILE …`: results of the official VBench tool become an artifact."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from formats.vbench import PROTOCOLS
from formats.vbench_official import SCALES, UNIT
from pipelines.command_lines import inputs_of, user_named
from pipelines.errors import PipelineError
from pipelines.vbench.doors import start_import


class Command(BaseCommand):
    help = "Queues a run that makes one result of *_eval_results.json files; bad files start none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", type=Path, nargs="*")
        parser.add_argument("--protocol", choices=list(PROTOCOLS), default="t2v")
        parser.add_argument("--scale", choices=list(SCALES), default=UNIT)
        parser.add_argument("--generator", default="", help="what was measured")
        parser.add_argument("--name", default="")
        parser.add_argument(
            "--input",
            action="append",
            default=[],
            metavar="ROLE=artifact:ID|base:NAME|run:ID",
            help="generations, adapter, generator, or result:NAME of results to be joined",
        )
        parser.add_argument("--user", help="whose run it is")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sources, _ = inputs_of(options["input"])
            run = start_import(
                [(path.name, _read(path)) for path in options["files"]],
                user=user_named(options["user"]),
                protocol=options["protocol"],
                scale=options["scale"],
                generator=options["generator"],
                inputs=sources,
                name=options["name"],
            )
        except (PipelineError, FormatError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"run {run.pk} ({run.kind}) is queued")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
