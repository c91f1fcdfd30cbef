"""Reports: what they conclude. Pages and files of a report are its artifact."""

from collections.abc import Iterator

from tiebreak_client import calls
from tiebreak_client.models import Report, ReportPage, ReportRow
from tiebreak_client.paging import through
from tiebreak_client.transport import Transport


class Reports:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def all(self) -> Iterator[ReportRow]:
        """The newest first."""

        def read(cursor: str | None) -> ReportPage:
            query = {"limit": 200, "cursor": cursor}
            return self._transport.send(calls.LIST_REPORTS, query=query)

        return through(read)

    def get(self, report_id: int) -> Report:
        """Its recommendation, the rules, and the verdict on each candidate."""
        return self._transport.send(calls.READ_REPORT, artifact_id=report_id)
