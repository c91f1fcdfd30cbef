"""The site as one object."""

import os
from types import TracebackType
from typing import Self

from tiebreak_client.artifacts import Artifacts
from tiebreak_client.campaigns import Campaigns
from tiebreak_client.errors import TiebreakError
from tiebreak_client.reports import Reports
from tiebreak_client.retests import Retests
from tiebreak_client.runs import Runs
from tiebreak_client.snapshots import Snapshots
from tiebreak_client.suites import Suites
from tiebreak_client.transport import Transport
from tiebreak_client.uploads import Uploads


class Tiebreak:
    """A site and a token: `Tiebreak("https://tiebreak.example", token)`.

    Left out, they come from TIEBREAK_URL and TIEBREAK_TOKEN of the environment.
    """

    def __init__(self, url: str = "", token: str = "", *, backoff: float = 0.5) -> None:
        self._transport = Transport(
            url or _given("TIEBREAK_URL"), token or _given("TIEBREAK_TOKEN"), backoff=backoff
        )
        self.uploads = Uploads(self._transport)
        self.campaigns = Campaigns(self._transport, self.uploads)
        self.runs = Runs(self._transport)
        self.artifacts = Artifacts(self._transport)
        self.snapshots = Snapshots(self._transport, self.runs, self.artifacts)
        self.suites = Suites(self._transport)
        self.retests = Retests(self._transport)
        self.reports = Reports(self._transport)

    def __repr__(self) -> str:
        return f"Tiebreak({self._transport.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()


def _given(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise TiebreakError(f"Name the site and the token, or set {name} in the environment.")
    return value
