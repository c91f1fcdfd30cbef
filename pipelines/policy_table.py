"""Who may do what at the addresses of runs and of what they leave (RELIABILITY 3c)."""

from typing import Final

from annotation.access.policies import (
    ANYONE,
    BY_DOOR,
    ENGINEERS,
    LEADS,
    OPERATORS,
    VIEWERS,
    Policy,
    Rule,
    Table,
    button,
    door,
    form,
    page,
)
from annotation.access.scopes import Scope

_SEEN: Final = Rule(VIEWERS, Scope.RUNS)
_START: Final = Rule(ENGINEERS, Scope.RUNS, fresh=True)  # of a person; a token has its scope
_STEER: Final = Rule(ENGINEERS, Scope.RUNS)
_FILES: Final = Scope.READ_ARTEFACT
# What can stand side by side; ids, repeated.
_COMPARED: Final = ("evaluation", "adapter", "run", "report", "human_test")

PAGES: Final[Table] = {
    # Asked by programs without a log-in; /metrics asks for a token of its own.
    "pipelines:alive": page(ANYONE),
    "pipelines:ready": page(ANYONE),
    "pipelines:metrics": page(ANYONE),
    "pipelines:alerts": page(VIEWERS),
    "pipelines:runs": page(VIEWERS, "state", "kind", "page"),
    "pipelines:live": page(VIEWERS, "id", scope=Scope.RUNS),
    "pipelines:run": page(VIEWERS, "beside"),
    "pipelines:run-live": page(VIEWERS, "since", "log", "rank", scope=Scope.RUNS),
    "pipelines:alignment-live": page(VIEWERS, "mark", scope=Scope.RUNS),
    "pipelines:watched-clip": page(VIEWERS, "v", scope=Scope.READ_MEDIA),
    "pipelines:cancel": button(ENGINEERS),
    "pipelines:retry": button(ENGINEERS),
    "pipelines:pause": button(ENGINEERS),
    "pipelines:resume": button(ENGINEERS),
    "pipelines:priority": button(ENGINEERS),
    "pipelines:steer-group": button(ENGINEERS),
    "pipelines:stacks": page(VIEWERS, scope=Scope.RUNS),
    "pipelines:loop": page(VIEWERS),
    "pipelines:loop-group": page(VIEWERS),
    "pipelines:start-anime": button(ENGINEERS, fresh=True),
    "pipelines:comparisons": page(VIEWERS),
    "pipelines:side-by-side": page(VIEWERS, "run"),
    "pipelines:comparison": page(VIEWERS),
    "pipelines:comparison-table": page(VIEWERS),
    "pipelines:comparison-json": page(VIEWERS, scope=_FILES),
    "pipelines:suites": form(VIEWERS, act=VIEWERS),
    "pipelines:suite": page(VIEWERS, "split", "category", "words", "page"),
    "pipelines:suite-scoring": form(ENGINEERS),
    "pipelines:suite-evaluate": Policy(Rule(ENGINEERS), Rule(ENGINEERS, fresh=True)),
    "pipelines:suite-evaluation": page(VIEWERS),
    "pipelines:pair-sets": page(VIEWERS, "page"),
    "pipelines:pair-preview": page(VIEWERS, "part", "order", "refused", "page"),
    "pipelines:report": page(VIEWERS),
    "pipelines:report-json": page(VIEWERS, scope=_FILES),
    "pipelines:report-file": page(VIEWERS, "clips", scope=_FILES),
    "pipelines:contenders": page(VIEWERS, *_COMPARED),
    "pipelines:artifact": page(VIEWERS),
    "pipelines:lineage": page(VIEWERS, "sha256"),
    "pipelines:disk": page(VIEWERS),
    "pipelines:card-json": page(VIEWERS, scope=_FILES),
    "pipelines:card-md": page(VIEWERS, scope=_FILES),
    "pipelines:grid-json": page(VIEWERS, scope=_FILES),
    # Weights: not for leads, who read about them.
    "pipelines:adapter-zip": page(ENGINEERS, scope=_FILES),
    "pipelines:ingest-json": page(VIEWERS, scope=_FILES),
    "pipelines:exports": form(VIEWERS, "snapshot", fresh=True),
    "pipelines:export-zip": page(VIEWERS, scope=_FILES),
    "pipelines:export-file": page(VIEWERS, scope=_FILES),
    "pipelines:log-text": page(VIEWERS, scope=Scope.RUNS),
    "pipelines:log-of-process": page(VIEWERS, scope=Scope.RUNS),
    "pipelines:metrics-csv": page(VIEWERS, scope=Scope.RUNS),
    "pipelines:metrics-jsonl": page(VIEWERS, scope=Scope.RUNS),
    "pipelines:chain": page(VIEWERS),
    "pipelines:forecast": button(VIEWERS),
    "pipelines:notices": page(VIEWERS, "page", "state", "kind"),
    "pipelines:notices-read": button(VIEWERS),
    "pipelines:notices-choose": button(VIEWERS),
    "pipelines:base-models": form(VIEWERS, act=ENGINEERS),
    # Two people: who proposed does not approve (pipelines.proposals, and a constraint).
    "pipelines:base-model-decide": button(OPERATORS, fresh=True),
    "pipelines:vbench": form(VIEWERS, "page", "clips", act=ENGINEERS),
    "pipelines:vbench-result": page(VIEWERS, "beside"),
    "pipelines:vbench-json": page(VIEWERS, scope=_FILES),
    "pipelines:doubtful-pairs": form(LEADS, "campaign", "budget", "seed", "committee"),
    "pipelines:disagreements": page(
        LEADS, "campaign", "dimension", "split", "agreement", "clash", "page"
    ),
    "pipelines:score-judged": button(ENGINEERS, fresh=True),
    "pipelines:disagreements-send": form(
        LEADS,
        *("campaign", "dimension", "split", "agreement", "clash"),
        *("way", "votes", "first", "triplet", "name", "budget", "seed"),
    ),
    # Human re-tests: leads ask people anyway, engineers ask whether their run was worth it.
    "pipelines:retests": page(VIEWERS, "candidate", "evaluation"),
    "pipelines:retest-start": button(VIEWERS, fresh=True),
    "pipelines:retest": page(VIEWERS),
    "pipelines:retest-state": page(VIEWERS),
    "pipelines:retest-count": button(VIEWERS),
    "pipelines:human-json": page(VIEWERS, scope=_FILES),
}
DOORS: Final[Table] = {
    "pipelines:api-doubtful-pairs": door(act=Rule(LEADS, Scope.WRITE_CAMPAIGNS)),
    "pipelines:api-disagreement": door(
        Rule(LEADS, Scope.READ_VOTES), Rule(LEADS, Scope.WRITE_CAMPAIGNS), query=BY_DOOR
    ),
    "pipelines:api-comparisons": door(act=_START),
    "pipelines:api-comparison": door(_SEEN),
    "pipelines:api-suites": door(_SEEN, Rule(VIEWERS, Scope.WRITE_IMPORT)),
    "pipelines:api-suite": door(_SEEN, query=("offset", "limit")),
    "pipelines:api-suite-scoring": door(act=_STEER),
    "pipelines:api-suite-evaluations": door(act=_START),
    "pipelines:api-suite-evaluation": door(_SEEN),
    "pipelines:api-pairs": door(Rule(VIEWERS, _FILES), query=BY_DOOR),
    "pipelines:api-base-models": door(_SEEN, Rule(ENGINEERS)),
    "pipelines:api-base-model-decide": door(act=Rule(OPERATORS, fresh=True)),
    "pipelines:api-vbench": door(_SEEN, _START),
    "pipelines:api-vbench-result": door(Rule(VIEWERS, _FILES)),
    "pipelines:api-reports": door(Rule(VIEWERS, _FILES), query=BY_DOOR),
    "pipelines:api-report": door(Rule(VIEWERS, _FILES)),
    "pipelines:api-contenders": door(Rule(VIEWERS, _FILES), query=_COMPARED),
    "pipelines:api-lineage": door(Rule(VIEWERS, _FILES), query=("sha256",)),
    "pipelines:api-artifact-lineage": door(Rule(VIEWERS, _FILES)),
    "pipelines:api-disk": door(_SEEN),
    "pipelines:api-artifacts": door(Rule(VIEWERS, _FILES), query=BY_DOOR),
    "pipelines:api-artifact": door(Rule(VIEWERS, _FILES)),
    # Weights for engineers alone: the door asks what it is.
    "pipelines:api-artifact-file": door(Rule(VIEWERS, _FILES)),
    "pipelines:api-exports": door(
        Rule(VIEWERS, Scope.EXPORT), Rule(VIEWERS, Scope.EXPORT, fresh=True), query=("snapshot",)
    ),
    # Leads start what the admin lets them start, as imports of media: the door asks by kind.
    "pipelines:api-runs": door(_SEEN, Rule(VIEWERS, Scope.RUNS, fresh=True), query=BY_DOOR),
    "pipelines:api-run": door(_SEEN),
    "pipelines:api-log": door(_SEEN, query=BY_DOOR),
    "pipelines:api-metrics": door(_SEEN, query=BY_DOOR),
    "pipelines:api-forecast": door(act=_SEEN),
    "pipelines:api-cancel": door(act=_STEER),
    "pipelines:api-retry": door(act=_STEER),
    "pipelines:api-pause": door(act=_STEER),
    "pipelines:api-resume": door(act=_STEER),
    "pipelines:api-priority": door(act=_STEER),
    "pipelines:api-steer-group": door(act=_STEER),
    "pipelines:api-retests": door(_SEEN, Rule(VIEWERS, Scope.RUNS, fresh=True)),
    "pipelines:api-retest": door(_SEEN),
    "pipelines:api-retest-count": door(act=_SEEN),
}
# The forms that start runs ask before they are filled in.
STARTS: Final[Table] = {
    name: Policy(Rule(VIEWERS, fresh=True), Rule(VIEWERS, fresh=True), None)
    for name in ("admin:pipelines_run_add", "admin:pipelines_loopgroup_add")
}
ALL: Final[Table] = {**PAGES, **DOORS, **STARTS}
