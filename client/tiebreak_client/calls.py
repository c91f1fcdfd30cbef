"""Every call that this package makes, in one table: a test holds it to the site's schema.

`keyed` calls carry an Idempotency-Key, and starts a nonce, so they may be sent again when an answer
got lost. Other POSTs are sent again only if they did not reach the site, or were answered 429.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tiebreak_client import models as m

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One door of the site: what may be sent there, and what comes back."""

    method: str
    path: str
    answer: type[T]
    body: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    keyed: bool = False
    media: str = "application/json"  # of what is sent

    @property
    def may_repeat(self) -> bool:
        """Whether its door does it once, however often it is asked."""
        return self.keyed or "nonce" in self.body or self.path == "/api/uploads"


_CAMPAIGN = "/api/campaigns/{campaign_id}"
_RUN = "/api/runs/{run_id}"
_OPTIONS = ("name", "dimension_set", "kind", "votes_wanted", "extra_votes", "instructions")
_SETTINGS = (*_OPTIONS, "watch_gate", "per_video_scores", "showing", "qualify", "gold_share",
             "repeat_share", "consent", "open_to_all")  # fmt: skip
_START = ("kind", "config", "name", "nonce", "inputs", "needs", "preset", "prompts",
          "watch_prompts")  # fmt: skip

LIST_CAMPAIGNS = Call("GET", "/api/campaigns", m.CampaignList)
CREATE_CAMPAIGN = Call("POST", "/api/campaigns", m.Campaign, body=_SETTINGS, keyed=True)
READ_CAMPAIGN = Call("GET", _CAMPAIGN, m.Campaign)
CHANGE_CAMPAIGN = Call("PATCH", _CAMPAIGN, m.Campaign, body=_SETTINGS)
OPEN_CAMPAIGN = Call("POST", f"{_CAMPAIGN}/open", m.Campaign, keyed=True)
PAUSE_CAMPAIGN = Call("POST", f"{_CAMPAIGN}/pause", m.Campaign, keyed=True)
CLOSE_CAMPAIGN = Call("POST", f"{_CAMPAIGN}/close", m.Campaign, keyed=True)
EXTEND_CAMPAIGN = Call(
    "POST", f"{_CAMPAIGN}/extend", m.Extension, body=("votes_wanted",), keyed=True
)
PROGRESS = Call("GET", f"{_CAMPAIGN}/progress", m.Progress)
IMPORT = Call(
    "POST", f"{_CAMPAIGN}/import", m.ImportReport, body=("file", "clips", "labels"), keyed=True
)
PLAN = Call(
    "POST",
    f"{_CAMPAIGN}/plan",
    m.Planned,
    body=("strategy", "budget", "seed", "create", "priority"),
    keyed=True,
)
EXPORT = Call("GET", f"{_CAMPAIGN}/export", bytes, query=("what",))

LIST_UPLOADS = Call("GET", "/api/uploads", m.UploadList)
BEGIN_UPLOAD = Call("POST", "/api/uploads", m.Upload, body=("name", "bytes", "sha256"))
READ_UPLOAD = Call("GET", "/api/uploads/{upload_id}", m.Upload)
SEND_PART = Call(
    "PUT",
    "/api/uploads/{upload_id}/parts/{offset}",
    m.Upload,
    media="application/octet-stream",
)
DROP_UPLOAD = Call("DELETE", "/api/uploads/{upload_id}", type(None))

LIST_RUNS = Call("GET", "/api/runs", m.RunList, query=("kind", "state", "before", "limit"))
START_RUN = Call("POST", "/api/runs", m.Run, body=_START)
READ_RUN = Call("GET", _RUN, m.WholeRun)
CANCEL_RUN = Call("POST", f"{_RUN}/cancel", m.Run)
RETRY_RUN = Call("POST", f"{_RUN}/retry", m.Run)
PAUSE_RUN = Call("POST", f"{_RUN}/pause", m.Run)
RESUME_RUN = Call("POST", f"{_RUN}/resume", m.Run)
MOVE_RUN = Call("POST", f"{_RUN}/priority", m.Run, body=("priority",))
READ_LOG = Call("GET", f"{_RUN}/log", m.Log, query=("offset", "rank"))
READ_METRICS = Call("GET", f"{_RUN}/metrics", m.Points, query=("since",))

LIST_ARTIFACTS = Call(
    "GET", "/api/artifacts", m.ArtifactPage, query=("kind", "run", "limit", "cursor")
)
READ_ARTIFACT = Call("GET", "/api/artifacts/{artifact_id}", m.WholeArtifact)
READ_FILE = Call("GET", "/api/artifacts/{artifact_id}/files/{name}", bytes)

LIST_EXPORTS = Call("GET", "/api/exports", m.ExportList, query=("snapshot",))
START_EXPORT = Call(
    "POST", "/api/exports", m.Export, body=("snapshot", "format", "media", "prefix", "nonce")
)

LIST_SUITES = Call("GET", "/api/suites", m.SuiteList)
IMPORT_SUITE = Call(
    "POST",
    "/api/suites",
    m.SuiteReport,
    body=("file", "name", "title", "images", "repair", "prompts"),
)
READ_SUITE = Call("GET", "/api/suites/{suite_id}", m.Suite, query=("offset", "limit"))
SET_SCORING = Call(
    "PUT",
    "/api/suites/{suite_id}/scoring",
    m.WholeScoring,
    body=("judges", "weights", "vbench", "generation", "scoring", "truth"),
)
START_EVALUATION = Call(
    "POST", "/api/suites/{suite_id}/evaluations", m.Evaluation, body=("config", "inputs", "nonce")
)
READ_EVALUATION = Call("GET", "/api/suite-evaluations/{group_id}", m.Evaluation)

LIST_RETESTS = Call("GET", "/api/retests", m.RetestList)
START_RETEST = Call("POST", "/api/retests", m.Retest, body=("config", "inputs", "nonce"))
READ_RETEST = Call("GET", "/api/retests/{group_id}", m.Retest)
COUNT_RETEST = Call("POST", "/api/retests/{group_id}/count", m.Retest)

LIST_REPORTS = Call("GET", "/api/reports", m.ReportPage, query=("limit", "cursor"))
READ_REPORT = Call("GET", "/api/reports/{artifact_id}", m.Report)


def every() -> Iterator[Call[Any]]:
    """All of them."""
    return (each for each in globals().values() if isinstance(each, Call))
