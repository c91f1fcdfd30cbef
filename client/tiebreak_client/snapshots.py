"""Snapshots of campaigns, and their exports: runs, waited for, and what they leave."""

from pathlib import Path

from tiebreak_client.artifacts import Artifacts
from tiebreak_client.models import Artifact, WholeArtifact
from tiebreak_client.runs import Runs


class Snapshots:
    def __init__(self, runs: Runs, artifacts: Artifacts) -> None:
        self._runs, self._artifacts = runs, artifacts

    def all(self) -> list[Artifact]:
        return list(self._artifacts.all(kind="snapshot"))

    def take(
        self, campaign_id: int, *, name: str = "", poll: float = 2.0, progress: bool | None = None
    ) -> WholeArtifact:
        """The consensus of a campaign as it is now, for ever."""
        run = self._runs.start("snapshot", {"campaign": campaign_id}, name=name)
        done = self._runs.wait(run.id, poll=poll, progress=progress)
        return self._artifacts.get(done.artifact("snapshot"))

    def export(
        self,
        snapshot_id: int,
        folder: Path | str,
        *,
        format: str = "parquet",  # noqa: A002 - the word of the site
        poll: float = 2.0,
        progress: bool | None = None,
    ) -> list[Path]:
        """Write a snapshot in the format of another tool, and take the files home."""
        inputs = {"snapshot": {"artifact": snapshot_id}}
        run = self._runs.start("export", {"format": format}, inputs)
        done = self._runs.wait(run.id, poll=poll, progress=progress)
        return self._artifacts.download(done.artifact("export"), folder, progress=progress)
