"""What runs leave: listed, and taken home with every hash checked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tiebreak_client import calls
from tiebreak_client.errors import TiebreakError
from tiebreak_client.files import below, download
from tiebreak_client.models import Artifact, ArtifactFile, ArtifactPage, WholeArtifact
from tiebreak_client.paging import through
from tiebreak_client.progress import bytes_bar
from tiebreak_client.transport import Transport


class Artifacts:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def all(self, *, kind: str | None = None, run: int | None = None) -> Iterator[Artifact]:
        """All of them, page by page, the oldest first."""

        def read(cursor: str | None) -> ArtifactPage:
            query = {"kind": kind, "run": run, "limit": 200, "cursor": cursor}
            return self._transport.send(calls.LIST_ARTIFACTS, query=query)

        return through(read)

    def get(self, artifact_id: int) -> WholeArtifact:
        return self._transport.send(calls.READ_ARTIFACT, artifact_id=artifact_id)

    def download(
        self, artifact_id: int, folder: Path | str, *, progress: bool | None = None
    ) -> list[Path]:
        """All its files into a folder, under their names. Again after a break, it goes on."""
        artifact = self.get(artifact_id)
        places = [(each, below(Path(folder), each.name)) for each in artifact.files]
        if not places:
            raise TiebreakError(f"Artifact {artifact_id} has no files.")
        title = artifact.name or f"{artifact.kind} {artifact_id}"
        with bytes_bar(title, sum(each.bytes for each, _ in places), shown=progress) as bar:
            return [self._fetch(artifact_id, each, place, bar) for each, place in places]

    def _fetch(self, artifact_id: int, file: ArtifactFile, place: Path, bar: "tqdm[Any]") -> Path:
        return download(
            file,
            place,
            lambda headers: self._transport.stream(
                calls.READ_FILE, headers=headers, artifact_id=artifact_id, name=file.name
            ),
            bar,
        )
