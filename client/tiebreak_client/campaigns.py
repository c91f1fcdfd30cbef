"""Campaigns: made, filled, watched, and their votes taken home."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tiebreak_client import calls
from tiebreak_client.calls import Call
from tiebreak_client.errors import BadAnswer, NoAnswer, TiebreakError
from tiebreak_client.files import save, sha256_of
from tiebreak_client.models import (
    Campaign,
    CampaignRow,
    Extension,
    ImportReport,
    Planned,
    Progress,
)
from tiebreak_client.progress import bytes_bar
from tiebreak_client.transport import Transport
from tiebreak_client.uploads import Uploads

WHAT = ("videoalign", "votes", "votes-parquet")


class Campaigns:
    def __init__(self, transport: Transport, uploads: Uploads) -> None:
        self._transport, self._uploads = transport, uploads

    def all(self) -> list[CampaignRow]:
        return self._transport.send(calls.LIST_CAMPAIGNS).campaigns

    def create(self, name: str, dimension_set: str = "videoalign", **settings: Any) -> Campaign:
        """A draft. `settings` are those of docs/api.md: votes_wanted, kind, instructions …"""
        body = {"name": name, "dimension_set": dimension_set, **settings}
        return self._transport.send(calls.CREATE_CAMPAIGN, body=body)

    def get(self, campaign_id: int) -> Campaign:
        return self._transport.send(calls.READ_CAMPAIGN, campaign_id=campaign_id)

    def named(self, name: str) -> Campaign:
        """By its whole name; LookupError where there is none."""
        for each in self.all():
            if each.name == name:
                return self.get(each.id)
        raise LookupError(f"There is no campaign {name!r} that this token may see.")

    def change(self, campaign_id: int, **settings: Any) -> Campaign:
        return self._transport.send(calls.CHANGE_CAMPAIGN, body=settings, campaign_id=campaign_id)

    def open(self, campaign_id: int) -> Campaign:
        return self._act(calls.OPEN_CAMPAIGN, campaign_id)

    def pause(self, campaign_id: int) -> Campaign:
        return self._act(calls.PAUSE_CAMPAIGN, campaign_id)

    def close(self, campaign_id: int) -> Campaign:
        return self._act(calls.CLOSE_CAMPAIGN, campaign_id)

    def extend(self, campaign_id: int, votes_wanted: int) -> Extension:
        """More votes for every triplet."""
        body = {"votes_wanted": votes_wanted}
        return self._transport.send(calls.EXTEND_CAMPAIGN, body=body, campaign_id=campaign_id)

    def progress(self, campaign_id: int) -> Progress:
        return self._transport.send(calls.PROGRESS, campaign_id=campaign_id)

    def import_folder(
        self, campaign_id: int, path: Path | str, *, name: str = "", progress: bool | None = None
    ) -> ImportReport:
        """Send a folder with its clips and one table, and import it, whole or not at all."""
        sent = self._uploads.folder(path, name=name, progress=progress)
        body = {"clips": sent}
        return self._transport.send(calls.IMPORT, body=body, campaign_id=campaign_id)

    def import_file(
        self, campaign_id: int, path: Path | str, *, clips: str = "", progress: bool | None = None
    ) -> ImportReport:
        """Import a table, or a zip archive of a table and its clips, which is sent in parts.
        `clips`: where the paths of a table start, as `uploads.folder` has given it."""
        local = Path(path)
        if not local.is_file():
            raise TiebreakError(f"There is no file {local}.")
        if local.suffix.lower() == ".zip":
            # Another archive of this name may be there; it stays.
            name = f"archives/{sha256_of(local)[:16]}/{local.name}"
            sent = self._uploads.file(local, name=name, progress=progress)
            return self._transport.send(calls.IMPORT, body={"clips": sent}, campaign_id=campaign_id)
        body = {"clips": clips} if clips else {}
        return self._transport.send(calls.IMPORT, body=body, file=local, campaign_id=campaign_id)

    def plan(
        self, campaign_id: int, strategy: str, *, create: bool = False, **wishes: Any
    ) -> Planned:
        """What a strategy would ask about the pool; with `create` it is asked."""
        body = {"strategy": strategy, "create": create, **wishes}
        return self._transport.send(calls.PLAN, body=body, campaign_id=campaign_id)

    def votes(self, campaign_id: int) -> Iterator[Mapping[str, Any]]:
        """Every vote under pseudonyms, as it comes; the first row is the header (votes/1)."""
        rest = b""
        query = {"what": "votes"}
        with self._transport.stream(calls.EXPORT, query=query, campaign_id=campaign_id) as answer:
            for chunk in answer.iter_content(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (_row(line) for line in lines if line)
        if rest:
            raise NoAnswer("The votes broke off in the middle of a line; ask again.")

    def export(
        self,
        campaign_id: int,
        target: Path | str,
        *,
        what: str = "videoalign",
        progress: bool | None = None,
    ) -> Path:
        """The settled labels (videoalign), or every vote (votes, votes-parquet), as a file."""
        if what not in WHAT:
            raise TiebreakError(f"what must be one of {', '.join(WHAT)}, got {what[:80]!r}")
        query = {"what": what}
        with bytes_bar(Path(target).name, 0, shown=progress) as bar:
            return save(
                Path(target),
                lambda headers: self._transport.stream(
                    calls.EXPORT, query=query, headers=headers, campaign_id=campaign_id
                ),
                bar,
            )

    def _act(self, call: Call[Campaign], campaign_id: int) -> Campaign:
        return self._transport.send(call, campaign_id=campaign_id)


def _row(line: bytes) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        raise BadAnswer("A line of the votes is no JSON.") from None
    if not isinstance(row, dict):
        raise BadAnswer("A line of the votes is no object.")
    return row
