"""`manage.py take_snapshot CAMPAIGN`: a snapshot run, here at once or by a faster worker."""

import threading
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipelines import lifecycle
from pipelines.errors import PipelineError
from pipelines.models import RunState
from pipelines.starting import start_run
from pipelines.supervisor import supervise
from pipelines.worker import owner_name


class Command(BaseCommand):
    help = "Takes an immutable snapshot of a campaign (its name or id) and prints its sha256."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign")
        parser.add_argument("--seed", type=int, default=0, help="of the split by prompt")

    def handle(self, *args: Any, **options: Any) -> None:
        named = options["campaign"]
        config = {
            "campaign": int(named) if named.isdecimal() else named,
            "split": {"seed": options["seed"]},
        }
        try:
            run = start_run("snapshot", config, user=None, name="Snapshot")
        except PipelineError as error:
            raise CommandError(str(error)) from error
        claimed = lifecycle.claim([run.queue], owner_name(), run_id=run.pk)
        if claimed is not None:
            supervise(claimed, threading.Event())
        while not run.has_ended:
            run.refresh_from_db()
            time.sleep(settings.TIEBREAK_RUN_POLL_SECONDS / 10)
        if run.state != RunState.SUCCEEDED:
            raise CommandError(f"run {run.pk} {run.state}: {run.message}")
        artifact = run.artifacts.get()
        counts = artifact.meta["counts"]
        self.stdout.write(
            f"snapshot {artifact.pk}: {counts['pairs']} pairs of {counts['prompts']} prompts, "
            f"sha256 {artifact.sha256}"
        )
