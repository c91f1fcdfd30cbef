"""Snapshots of campaigns, and their exports: runs, waited for, and what they leave."""

import uuid
from pathlib import Path

from tiebreak_client import calls
from tiebreak_client.artifacts import Artifacts
from tiebreak_client.models import Artifact, ExportFormat, WholeArtifact
from tiebreak_client.runs import Runs
from tiebreak_client.transport import Transport


class Snapshots:
    def __init__(self, transport: Transport, runs: Runs, artifacts: Artifacts) -> None:
        self._transport, self._runs, self._artifacts = transport, runs, artifacts

    def all(self) -> list[Artifact]:
        return list(self._artifacts.all(kind="snapshot"))

    def take(
        self, campaign_id: int, *, name: str = "", poll: float = 2.0, progress: bool | None = None
    ) -> WholeArtifact:
        """The consensus of a campaign as it is now, for ever."""
        run = self._runs.start("snapshot", {"campaign": campaign_id}, name=name)
        done = self._runs.wait(run.id, poll=poll, progress=progress)
        return self._artifacts.get(done.artifact("snapshot"))

    def formats(self, snapshot_id: int | None = None) -> list[ExportFormat]:
        """The formats of exports; with a snapshot, what each would lose of it."""
        query = {"snapshot": snapshot_id}
        return self._transport.send(calls.LIST_EXPORTS, query=query).formats

    def export(
        self,
        snapshot_id: int,
        folder: Path | str,
        *,
        format: str = "parquet",  # noqa: A002 - the word of the site
        media: str = "paths",
        prefix: str = "",
        poll: float = 2.0,
        progress: bool | None = None,
    ) -> list[Path]:
        """Write a snapshot in the format of another tool, and take the files home.

        `media`: paths as the site has them, links behind a `prefix`, or the files themselves.
        """
        body = {"snapshot": snapshot_id, "format": format, "media": media, "prefix": prefix}
        wanted = {key: value for key, value in body.items() if value != ""}
        nonce = str(uuid.uuid4())
        started = self._transport.send(calls.START_EXPORT, body={**wanted, "nonce": nonce})
        done = self._runs.wait(started.run, poll=poll, progress=progress)
        return self._artifacts.download(done.artifact("export"), folder, progress=progress)
