"""`manage.py export SNAPSHOT --format FORMAT`: a snapshot for another tool."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from pipelines.exports.exporting import FORMATS, Export, export, find_snapshot, main_name
from pipelines.exports.runs import MEDIA, ExportConfig
from pipelines.exports.source import Media
from pipelines.models import Artifact
from pipelines.step_configs import StepConfigError


class Command(BaseCommand):
    help = "Exports a snapshot (its id or the beginning of its sha256)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("snapshot")
        parser.add_argument("--format", required=True, choices=list(FORMATS))
        parser.add_argument("--output", type=Path, help="file or folder; never overwritten")
        parser.add_argument("--media", choices=MEDIA, default="paths", help="how clips are named")
        parser.add_argument("--prefix", default="", help="before each path, with --media links")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            asked = ExportConfig(options["format"], options["media"], options["prefix"])
            artifact = find_snapshot(options["snapshot"])
            target = options["output"] or _name(artifact, asked)
            how = Media(asked.media, asked.prefix)
            done = export(artifact, asked.format, target, how=how)
        except (FormatError, StepConfigError) as error:
            raise CommandError(str(error)) from error
        self._tell(done)

    def _tell(self, done: Export) -> None:
        self.stdout.write(f"{done.path}: {done.rows} rows")
        tables = [each for each in done.files if not each.name.startswith("media/")]
        if clips := len(done.files) - len(tables):
            self.stdout.write(f"  {clips} clips and start images in media, named by their sha256")
        for each in tables:
            self.stdout.write(f"  {each.sha256}  {each.name}  {each.rows} rows")
        for key, counts in done.left_out.items():
            if any(counts.values()):
                words = ", ".join(f"{word} {n}" for word, n in counts.items() if n)
                self.stdout.write(f"  {key}: the format has no place for {words}")


def _name(artifact: Artifact, asked: ExportConfig) -> Path:
    """In the folder of whoever asks; a format that is a folder, or holds its clips, in one."""
    chosen = FORMATS[asked.format]
    plain = f"snapshot-{artifact.pk}-{chosen.name}"
    return Path(plain if asked.media == "files" else main_name(artifact, chosen) or plain)
