"""A table has one writer: the module that knows what its rows promise.

Read from the source: `Model(...)` and `Model.objects…create/update/…` outside its module is found.
A write through a related manager or a variable is not; reviews look at those.
"""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITES = {
    "create",
    "acreate",
    "bulk_create",
    "bulk_update",
    "get_or_create",
    "update_or_create",
    "update",
    "delete",
}
# Who may write what. The run tables: lifecycle changes runs, starting makes them.
WRITERS = {
    "Run": {"pipelines.lifecycle", "pipelines.starting"},
    "RunEvent": set(),  # the trigger of the database alone
    "RunInput": {"pipelines.starting"},  # and pipelines.launching pins what a producer left
    "Metric": set(),  # pipelines.progress, by one SQL statement
    "Artifact": {"pipelines.registering"},
    "Blob": {"pipelines.store.ledger"},
    "StoredFile": {"pipelines.store.ledger"},
    "BaseModel": {"pipelines.registry"},
    "BaseModelProposal": {"pipelines.proposals"},
    "ApiToken": {"annotation.accounts.tokens"},
    "WorkerHeartbeat": {"pipelines.worker"},
    "Notice": {"pipelines.notices"},
    "NoticeWish": {"pipelines.notices"},
    "LoopGroup": {
        "pipelines.loops.chain",
        "pipelines.comparisons.comparing",
        "pipelines.suites.evaluating",
        "pipelines.retests.starting",
    },
    "PeopleWait": {"pipelines.retests.people_waits"},
    "Suite": {"pipelines.suites.shelf"},
    "SuitePrompt": {"pipelines.suites.shelf"},
    "SuiteJudge": {"pipelines.suites.shelf"},
    "Vote": {"annotation.voting"},
    "Judgement": {"annotation.voting"},
    "ForeignAnnotator": {"annotation.imports.foreign_votes"},
    "ForeignVote": {"annotation.imports.foreign_votes"},
    "Invitation": {"annotation.accounts.invitations"},
    "Consent": {"annotation.accounts.consents"},
    "Profile": {"annotation.accounts.profiles"},
    "Guideline": {"annotation.guidance.guidelines"},
    "GuidelineDraft": {"annotation.guidance.guidelines"},
    "GuidelineAcceptance": {"annotation.guidance.guidelines"},
    "Probe": {"annotation.quality.gold"},
    "ProbeLease": {
        "annotation.quality.hiding",
        "annotation.quality.probes",
    },  # given there, ended here
    "ProbeAnswer": {"annotation.quality.probes"},
    "Flag": {"annotation.quality.flags"},
    "Adjudication": {"annotation.adjudicating"},
    "AuditEntry": {
        "annotation.access.audit",
        "annotation.accounts.erasing",
    },  # erasure empties addresses
    "Erasure": {"annotation.accounts.erasing"},
}


def modules() -> list[Path]:
    found = [*(ROOT / "annotation").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]
    return [path for path in found if "migrations" not in path.parts]


def root_of(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node


def written(tree: ast.AST) -> set[str]:
    """Names of the tables that this module writes to."""
    names = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            names.add(node.func.id)
        elif isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
            root = root_of(node.func)
            names |= {root.id} if isinstance(root, ast.Name) else set()
    return names & set(WRITERS)


def test_each_table_is_written_by_its_own_module() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for path in modules():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for table in written(ast.parse(path.read_text(encoding="utf-8"))):
            found[table].add(name)
    assert found["Run"] == WRITERS["Run"]
    strangers = {table: who - WRITERS[table] for table, who in found.items()}
    assert {table: who for table, who in strangers.items() if who} == {}


@pytest.mark.parametrize(
    "code",
    [
        "Run.objects.filter(pk=1).update(state='failed')",
        "Run.objects.create(kind='x')",
        "row = Run(kind='x')",
        "Run.objects.filter(pk=1).exclude(pk=2).delete()",
    ],
)
def test_the_search_finds_a_write(code: str) -> None:
    assert written(ast.parse(code)) == {"Run"}


def test_the_search_leaves_reads_alone() -> None:
    assert written(ast.parse("Run.objects.filter(pk=1).first()")) == set()
