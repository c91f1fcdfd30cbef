"""What the pages of suites show: one query per table, nothing computed in templates."""

import json
from dataclasses import dataclass
from typing import Final

from django.core.paginator import Page, Paginator
from django.db.models import Count, Q, QuerySet

from formats.outcome import OutputKind
from pipelines.evaluation import OVERALL
from pipelines.models import (
    Artifact,
    GroupKind,
    LoopGroup,
    RunState,
    Suite,
    SuitePrompt,
)
from pipelines.splitting import SPLITS, TEST

SHOWN: Final = 50  # prompts on a page


@dataclass(frozen=True, slots=True)
class SuiteLine:
    """One suite of the list."""

    suite: Suite
    prompts: int
    images: int
    judges: list[str]
    evaluations: int


def lines() -> list[SuiteLine]:
    rows = Suite.objects.annotate(
        count=Count("prompts", distinct=True),
        images=Count("prompts", filter=Q(prompts__image__isnull=False), distinct=True),
    ).prefetch_related("judges")
    held = dict(
        LoopGroup.objects.filter(kind=GroupKind.EVALUATION)
        .values_list("config__suite")
        .annotate(n=Count("pk"))
    )
    return [
        SuiteLine(row, row.count, row.images, [each.name for each in row.judges.all()],
                  held.get(row.name, 0))
        for row in rows.order_by("name")
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """What a suite is, in figures."""

    prompts: int
    images: int
    languages: list[tuple[str, int]]
    splits: list[tuple[str, int]]
    categories: list[tuple[str, int]]

    @property
    def held_out(self) -> int:
        return dict(self.splits).get(TEST, 0)


def facts_of(suite: Suite) -> Facts:
    rows = suite.prompts.order_by()
    spoken: dict[str, int] = {}
    for translations in rows.exclude(translations={}).values_list("translations", flat=True):
        for language in translations:
            spoken[language] = spoken.get(language, 0) + 1
    by_split = dict(rows.values_list("split").annotate(n=Count("pk")))
    by_category = rows.exclude(category="").values_list("category").annotate(n=Count("pk"))
    return Facts(
        prompts=rows.count(),
        images=rows.filter(image__isnull=False).count(),
        languages=sorted(spoken.items()),
        splits=[(side, by_split[side]) for side in SPLITS if side in by_split],
        categories=sorted(by_category),
    )


def prompts_page(
    suite: Suite, *, split: str = "", category: str = "", words: str = "", page: str | None = None
) -> Page[SuitePrompt]:
    rows: QuerySet[SuitePrompt] = suite.prompts.select_related("image").order_by("position")
    if split:
        rows = rows.filter(split=split)
    if category:
        rows = rows.filter(category=category)
    if words:
        rows = rows.filter(Q(text__icontains=words) | Q(short_text__icontains=words))
    return Paginator(rows, SHOWN).get_page(page)


@dataclass(frozen=True, slots=True)
class EvaluationLine:
    """One evaluation of a suite: how far it is, and its report."""

    group: LoopGroup
    done: int
    failed: int
    total: int
    report: Artifact | None


def evaluations_of(suite: Suite, most: int = 50) -> list[EvaluationLine]:
    groups = (
        LoopGroup.objects.filter(kind=GroupKind.EVALUATION, config__suite=suite.name)
        .select_related("created_by")
        .annotate(
            done=Count("runs", filter=Q(runs__state=RunState.SUCCEEDED)),
            failed=Count("runs", filter=Q(runs__state=RunState.FAILED)),
            total=Count("runs"),
        )
        .order_by("-pk")[:most]
    )
    reports = {
        each.run.group_id: each
        for each in Artifact.objects.filter(
            kind=OutputKind.REPORT, run__group__in=[group.pk for group in groups]
        ).select_related("run")
    }
    return [
        EvaluationLine(group, group.done, group.failed, group.total, reports.get(group.pk))
        for group in groups
    ]


def asked_of(group: LoopGroup) -> list[tuple[str, str]]:
    """What an evaluation was asked for, without what was left as the suite says."""
    return [
        (name.replace("_", " "), value if isinstance(value, str) else json.dumps(value))
        for name, value in group.config.items()
        if value not in ("", 0, {}, None)
    ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one judge says of one candidate, over all dimensions."""

    evaluation: Artifact
    candidate: str
    judge: str
    rate: float
    low: float
    high: float


def outcomes_of(group: LoopGroup) -> list[Outcome]:
    """The overall win rates that evaluations have left so far."""
    found = []
    rows = Artifact.objects.filter(run__group=group, kind=OutputKind.EVALUATION)
    for row in rows.select_related("run").order_by("pk"):
        for name, figures in row.meta.items():
            if not name.startswith("by ") or not isinstance(figures, dict):
                continue
            rate = figures.get(OVERALL)
            if rate:
                figures_of = (100 * rate[key] for key in ("rate", "low", "high"))
                found.append(Outcome(row, row.meta.get("candidate", ""), name[3:], *figures_of))
    return found
