"""`manage.py start_run KIND --config FILE`: the same door as the button."""

import json
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from formats.records import PromptRecord
from pipelines import kinds
from pipelines.errors import PipelineError
from pipelines.models import Artifact, BaseModel, Run, RunState
from pipelines.starting import Source, start_run
from pipelines.waiting import waiting_for


class Command(BaseCommand):
    help = "Queues a run; with --wait follows it and ends with 0 only if it succeeds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind")
        parser.add_argument("--config", type=Path, help="a JSON file")
        parser.add_argument(
            "--preset", help="a named config of the kind; entries of --config go before it"
        )
        parser.add_argument("--name", default="")
        parser.add_argument(
            "--input",
            action="append",
            default=[],
            metavar="ROLE=artifact:ID|base:NAME|run:ID|prompts:FILE",
        )
        parser.add_argument("--user", help="whose run it is")
        parser.add_argument("--wait", action="store_true", help="follow it to its end")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            inputs = [_split(text) for text in options["input"]]
            run = start_run(
                options["kind"],
                _config_of(options),
                {role: _source(text) for role, text in inputs if not text.startswith("prompts:")},
                files={
                    role: PromptRecord.read(Path(text.removeprefix("prompts:")))
                    for role, text in inputs
                    if text.startswith("prompts:")
                },
                user=_user(options["user"]),
                name=options["name"],
            )
        except (PipelineError, FormatError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"run {run.pk} ({run.kind}) is queued")
        if options["wait"]:
            self._follow(run)

    def _follow(self, run: Run) -> None:
        shown = ""
        while not run.has_ended:
            time.sleep(settings.TIEBREAK_RUN_POLL_SECONDS)
            run.refresh_from_db()
            line = waiting_for(run) or f"{run.state} {run.stage} {run.step}/{run.total}"
            if line != shown:
                self.stdout.write(line)
                shown = line
        if run.state != RunState.SUCCEEDED:
            raise CommandError(f"run {run.pk} {run.state}: {run.message}")
        self.stdout.write(f"run {run.pk} succeeded")


def _config_of(options: dict[str, Any]) -> Any:
    file, preset = options["config"], options["preset"]
    if file is None and preset is None:
        raise CommandError("the config is missing: name a file with --config, or a --preset")
    given = _config(file) if file else {}
    if preset is None or not isinstance(given, dict):
        return given
    return kinds.get(options["kind"]).preset(preset, given)


def _config(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: not UTF-8 text at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise CommandError(f"{file}:{error.lineno}: not JSON: {error.msg}") from error


def _split(text: str) -> tuple[str, str]:
    role, equals, source = text.partition("=")
    if not equals:
        raise CommandError(f"--input must look like role=artifact:7, got {text!r}")
    return role, source


def _source(text: str) -> Source:
    word, _, value = text.partition(":")
    found: Source | None = None
    if word == "base":
        found = BaseModel.objects.filter(name=value).first()
    elif word in {"artifact", "run"} and value.isdigit():
        table: type[Artifact] | type[Run] = Artifact if word == "artifact" else Run
        found = table._default_manager.filter(pk=int(value)).first()
    else:
        raise CommandError(
            f"an input is artifact:ID, base:NAME, run:ID or prompts:FILE, not {text!r}"
        )
    if found is None:
        raise CommandError(f"there is no {word} {value!r}")
    return found


def _user(name: str | None) -> Any:
    if name is None:
        return None
    user = get_user_model().objects.filter(username=name).first()
    if user is None:
        raise CommandError(f"there is no user {name!r}")
    return user
