"""What goes into the audit log at the addresses of runs: starts, ends, and what leaves the site.

Pausing, priorities and base models are written down by their own doors, in one transaction.
"""

from typing import Final

from annotation.access.audited_acts import Noted

_RUN: Final = "run {run_id}"
_RETEST: Final = "retest {group_id}"
_CAMPAIGN: Final = "campaign {campaign}"
_ARTIFACT: Final = "artifact {artifact_id}"
ACTS: Final[dict[str, Noted]] = {
    "pipelines:api-runs": Noted("run.start", "", ("kind", "preset")),
    "pipelines:start-anime": Noted("run.start", "", ()),
    "pipelines:suite-evaluate": Noted("run.start", "suite {suite_id}", ("name",)),
    "pipelines:api-suite-evaluations": Noted("run.start", "suite {suite_id}"),
    "pipelines:api-comparisons": Noted("run.start", "", ("kind",)),
    "pipelines:vbench": Noted("run.start", "", ("act",)),
    "pipelines:api-vbench": Noted("run.start", "", ("protocol",)),
    "pipelines:score-judged": Noted("run.start", "", ()),
    "pipelines:disagreements-send": Noted("campaign.send_back", _CAMPAIGN, ("way", "votes")),
    "pipelines:api-disagreement": Noted("campaign.send_back", _CAMPAIGN, ("way", "votes")),
    "pipelines:cancel": Noted("run.cancel", _RUN),
    "pipelines:retry": Noted("run.retry", _RUN),
    "pipelines:api-cancel": Noted("run.cancel", _RUN),
    "pipelines:api-retry": Noted("run.retry", _RUN),
    "pipelines:adapter-zip": Noted("export.weights", _ARTIFACT, reads=True),
    "pipelines:exports": Noted("export.start", "", ("snapshot", "format", "media")),
    "pipelines:api-exports": Noted("export.start", "", ("snapshot", "format", "media")),
    "pipelines:export-zip": Noted("export.snapshot", _ARTIFACT, reads=True),
    "pipelines:export-file": Noted("export.snapshot", _ARTIFACT, ("name",), reads=True),
    "pipelines:api-artifact-file": Noted("export.artifact", _ARTIFACT, ("name",), reads=True),
    "pipelines:report-file": Noted("export.report", _ARTIFACT, ("clips",), reads=True),
    "pipelines:api-pairs": Noted("export.pairs", _ARTIFACT, reads=True),
    # A campaign is opened, or closed with what it has.
    "pipelines:retest-start": Noted("retest.start", "", ("evaluation", "candidate", "base")),
    "pipelines:api-retests": Noted("retest.start", "", ("inputs",)),
    "pipelines:retest-count": Noted("retest.count", _RETEST),
    "pipelines:api-retest-count": Noted("retest.count", _RETEST),
    "pipelines:human-json": Noted("export.human_test", _ARTIFACT, reads=True),
}
