"""The admin of runs: 'add' starts a run or a loop, afterwards the rows are records."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html

from annotation.permissions import is_lead, is_ml_engineer
from pipelines import forecasts, kinds
from pipelines.comparisons.comparing import start_comparison
from pipelines.comparisons.forms import StartComparisonForm, initial_of_comparison
from pipelines.errors import InvalidRunConfig, PipelineError
from pipelines.forms import StartLoopForm, StartRunForm, default_config, initial_of
from pipelines.loops.chain import start_loop
from pipelines.loops.configs import first_config
from pipelines.models import (
    Artifact,
    BaseModel,
    GroupKind,
    LoopGroup,
    Run,
    RunEvent,
    RunInput,
    Suite,
    SuiteJudge,
    SuitePrompt,
    WorkerHeartbeat,
)
from pipelines.run_cards import kind_title
from pipelines.run_pages import pretty
from pipelines.starting import cancel_run, retry_run, start_run
from pipelines.steering import pause_run, put_run_at, resume_run
from pipelines.step_configs import StepConfigError
from pipelines.views.access import person


class Records:
    """Rows that people look at: leads and ML engineers see them, nobody edits them."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_lead(request.user) or is_ml_engineer(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_lead(request.user) or is_ml_engineer(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Who may start, cancel and retry; actions ask for it by its name."""
        return is_ml_engineer(request.user)


class RecordAdmin(Records, admin.ModelAdmin):
    pass


class RecordInline(Records, admin.TabularInline):
    extra = 0
    can_delete = False
    show_change_link = False


class InputInline(RecordInline):
    model = RunInput
    fk_name = "run"
    fields = ["role", "artifact", "base_model", "producer", "file", "sha256"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[RunInput]:
        return (
            super().get_queryset(request).select_related("artifact__run", "base_model", "producer")
        )


class ArtifactInline(RecordInline):
    model = Artifact
    fields = ["kind", "path", "sha256", "created_at"]
    show_change_link = True


class EventInline(RecordInline):
    model = RunEvent
    fields = ["at", "before", "after", "fence", "note"]


@admin.register(Run)
class RunAdmin(RecordAdmin):
    list_display = [
        "id",
        "what",
        "state",
        "priority",
        "progress",
        "queue",
        "group",
        "created_by",
        "created_at",
    ]
    list_display_links = ["id", "what"]
    list_filter = ["state", "kind", "queue"]
    list_select_related = ["group", "created_by"]
    search_fields = ["name", "kind"]
    list_per_page = 50
    actions = [
        "compare_runs", "cancel_runs", "retry_runs", "pause_runs", "resume_runs", "put_first",
        "put_last",
    ]  # fmt: skip
    inlines = [InputInline, ArtifactInline, EventInline]
    fields = [
        "live", "kind", "name", "state", "want", "priority", "progress", "stage", "reason",
        "message", "pretty_config", "config_sha", "pretty_summary", "queue", "needs", "group",
        "attempt", "max_attempts", "retry", "fence", "owner", "lease_until", "heartbeat_at",
        "created_by", "created_at", "started_at", "finished_at",
    ]  # fmt: skip
    readonly_fields = ["live", "progress", "pretty_config", "pretty_summary"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """ML engineers start every kind; leads the kinds that are theirs, which they name."""
        kind = request.GET.get("kind", "")
        theirs = kind in kinds.names() and kinds.get(kind).for_leads and is_lead(request.user)
        return theirs or self.has_steer_permission(request)

    @admin.display(description="run")
    def what(self, run: Run) -> str:
        return run.name or kind_title(run.kind)

    @admin.display(description="progress")
    def progress(self, run: Run) -> str:
        return f"{run.step} of {run.total}" if run.total else "–"

    @admin.display(description="live page")
    def live(self, run: Run) -> str:
        url = reverse("pipelines:run", args=[run.pk])
        return format_html('<a href="{}">Watch it: curves, log, clips</a>', url)

    @admin.display(description="config")
    def pretty_config(self, run: Run) -> str:
        return format_html("<pre>{}</pre>", pretty(run.config))

    @admin.display(description="figures")
    def pretty_summary(self, run: Run) -> str:
        return format_html("<pre>{}</pre>", pretty(run.summary))

    @admin.action(description="Show the selected alignment runs side by side")
    def compare_runs(self, _request: HttpRequest, runs: QuerySet[Run]) -> HttpResponse:
        query = urlencode([("run", run.pk) for run in runs.order_by("pk")])
        return redirect(f"{reverse('pipelines:side-by-side')}?{query}")

    @admin.action(description="Cancel the selected runs", permissions=["steer"])
    def cancel_runs(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        for run in runs:
            _do(self, request, f"{run} is being cancelled.", cancel_run, run, request.user)

    @admin.action(description="Try the selected failed runs again", permissions=["steer"])
    def retry_runs(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        for run in runs:
            _do(self, request, f"{run} is in the queue again.", retry_run, run, request.user)

    @admin.action(description="Pause the selected runs", permissions=["steer"])
    def pause_runs(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        for run in runs:
            _do(self, request, f"{run} is being paused.", pause_run, run, request.user)

    @admin.action(description="Resume the selected paused runs", permissions=["steer"])
    def resume_runs(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        for run in runs:
            _do(self, request, f"{run} is in the queue again.", resume_run, run)

    @admin.action(description="Put the selected runs first (priority 50)", permissions=["steer"])
    def put_first(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        for run in runs:
            _do(self, request, f"{run} goes before others.", put_run_at, run, 50)

    @admin.action(description="Put the selected runs last (priority -50)", permissions=["steer"])
    def put_last(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        for run in runs:
            _do(self, request, f"{run} lets others go first.", put_run_at, run, -50)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """First the kind, then its form; a good form starts the run and shows it live."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        like = Run.objects.filter(pk=_id(request, "like") or 0).first()
        kind = like.kind if like else request.GET.get("kind", "")
        if kind not in kinds.names():
            return self._page(request, "choose_kind.html", title="Start a run", kinds=_kinds())
        spec = kinds.get(kind)
        if not (spec.for_leads or self.has_steer_permission(request)):
            raise PermissionDenied
        initial = initial_of(like) if like else _first_values(request, spec)
        form = StartRunForm(spec, request.POST or None, request.FILES or None, initial=initial)
        if form.is_valid() and (run := self._start(request, spec, form)) is not None:
            return redirect("pipelines:run", run.pk)
        said = _foretold(form if form.is_bound else StartRunForm(spec, initial))
        return self._page(
            request, "start.html", title=spec.title, form=form, button="Start this run", spec=spec,
            forecast=said,
        )  # fmt: skip

    def _start(self, request: HttpRequest, spec: kinds.KindSpec, form: StartRunForm) -> Run | None:
        values = form.cleaned_data
        try:
            run = start_run(
                spec.name, form.config_with_upload(), form.inputs(),
                user=person(request), name=values["name"], files=form.given() or None,
                needs=values["needs"],
            )  # fmt: skip
        except PipelineError as error:
            form.add_error(None, str(error))
            return None
        self.log_addition(request, run, [{"added": {}}])
        messages.success(request, f"{run} is in the queue. It starts as soon as a worker is free.")
        return run

    def _page(self, request: HttpRequest, name: str, **context: Any) -> HttpResponse:
        return render(request, f"admin/pipelines/{name}", _frame(self, request, context))


def _frame(model_admin: admin.ModelAdmin, request: HttpRequest, context: Any) -> dict[str, Any]:
    return {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, **context}


def _id(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _foretold(form: StartRunForm) -> list[forecasts.Said]:
    """What is known before the start; nothing of a form whose config could not work yet."""
    try:
        return forecasts.of_form(form)
    except PipelineError:
        return []


def _first_values(request: HttpRequest, spec: kinds.KindSpec) -> dict[str, Any]:
    try:
        return {"config": pretty(default_config(spec, request.GET.get("preset", "")))}
    except InvalidRunConfig as error:
        raise Http404(str(error)) from error


def _kinds() -> list[tuple[str, str]]:
    return [(name, kind_title(name)) for name in kinds.names()]


def _do(
    model_admin: admin.ModelAdmin, request: HttpRequest, done: str, act: Any, *args: Any
) -> None:
    try:
        act(*args)
    except PipelineError as error:
        model_admin.message_user(request, str(error), messages.ERROR)
    else:
        model_admin.message_user(request, done, messages.SUCCESS)


@admin.register(LoopGroup)
class LoopGroupAdmin(RecordAdmin):
    list_display = ["id", "name", "kind", "campaign", "created_by", "created_at", "live"]
    list_display_links = ["id", "name"]
    list_filter = ["kind"]
    list_select_related = ["campaign", "created_by"]
    fields = ["live", "name", "kind", "campaign", "created_by", "created_at"]
    readonly_fields = ["live"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_steer_permission(request)

    @admin.display(description="live page")
    def live(self, group: LoopGroup) -> str:
        return format_html(
            '<a href="{}">Watch it</a>', reverse("pipelines:loop-group", args=[group.pk])
        )

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Start the whole loop on a campaign; or, with ?kind=comparison, settings side by side."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.GET.get("kind") == GroupKind.COMPARISON:
            return self._add_comparison(request)
        if request.GET.get("kind") == GroupKind.EVALUATION:
            return redirect("pipelines:suites")  # Each suite has its own form.
        initial = {"config": pretty(first_config()), "campaign": _id(request, "campaign")}
        form = StartLoopForm(request.POST or None, initial=initial)
        if form.is_valid():
            try:
                group = start_loop(
                    form.cleaned_data["campaign"], form.cleaned_data["config"], person(request)
                )
            except (PipelineError, StepConfigError) as error:
                form.add_error(None, str(error))
            else:
                self.log_addition(request, group, [{"added": {}}])
                return redirect("pipelines:loop-group", group.pk)
        context = {"title": "Start a whole loop", "form": form, "button": "Start all its runs"}
        context["forecast"] = forecasts.of_loop()
        return render(request, "admin/pipelines/start.html", _frame(self, request, context))

    def _add_comparison(self, request: HttpRequest) -> HttpResponse:
        compared = LoopGroup.objects.filter(kind=GroupKind.COMPARISON)
        like = compared.filter(pk=_id(request, "like") or 0).first()
        form = StartComparisonForm(request.POST or None, initial=initial_of_comparison(like))
        if form.is_valid():
            try:
                group = start_comparison(
                    form.cleaned_data["config"], form.inputs(), person(request), files=form.given()
                )
            except PipelineError as error:
                form.add_error(None, str(error))
            else:
                self.log_addition(request, group, [{"added": {}}])
                return redirect("pipelines:comparison", group.pk)
        context = {"title": "Start a comparison", "form": form, "button": "Start all its runs"}
        context["forecast"] = forecasts.of_group()
        return render(request, "admin/pipelines/start.html", _frame(self, request, context))


@admin.register(Artifact)
class ArtifactAdmin(RecordAdmin):
    list_display = ["id", "kind", "name", "run", "short_sha", "created_at"]
    list_filter = ["kind"]
    list_select_related = ["run"]
    search_fields = ["name", "sha256"]
    fields = ["live", "kind", "name", "run", "path", "sha256", "pretty_meta", "created_at"]
    readonly_fields = ["live", "pretty_meta"]

    @admin.display(description="sha256")
    def short_sha(self, artifact: Artifact) -> str:
        return artifact.sha256[:12]

    @admin.display(description="page")
    def live(self, artifact: Artifact) -> str:
        url = reverse("pipelines:artifact", args=[artifact.pk])
        return format_html('<a href="{}">Lineage and uses</a>', url)

    @admin.display(description="what it says of itself")
    def pretty_meta(self, artifact: Artifact) -> str:
        return format_html("<pre>{}</pre>", pretty(artifact.meta))


@admin.register(BaseModel)
class BaseModelAdmin(RecordAdmin):
    """Registered by a command of the operator or left by a run: the web accepts no path."""

    list_display = ["id", "name", "role", "source", "revision", "artifact"]
    list_filter = ["role"]
    list_select_related = ["artifact__run"]
    search_fields = ["name", "source"]


class PromptInline(RecordInline):
    model = SuitePrompt
    fields = ["position", "text", "short_text", "category", "split"]


class JudgeInline(RecordInline):
    model = SuiteJudge
    fields = ["name", "reward_model", "backbone"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SuiteJudge]:
        return super().get_queryset(request).select_related("reward_model__run", "backbone")


@admin.register(Suite)
class SuiteAdmin(RecordAdmin):
    list_display = ["id", "name", "title", "created_at", "live"]
    list_display_links = ["id", "name"]
    fields = ["live", "name", "title", "source", "sha256", "pretty_scoring", "created_at"]
    readonly_fields = ["live", "pretty_scoring"]
    inlines = [JudgeInline, PromptInline]

    @admin.display(description="page")
    def live(self, suite: Suite) -> str:
        url = reverse("pipelines:suite", args=[suite.pk])
        return format_html('<a href="{}">Prompts, scoring, evaluations</a>', url)

    @admin.display(description="scoring")
    def pretty_scoring(self, suite: Suite) -> str:
        return format_html("<pre>{}</pre>", pretty(suite.scoring))


@admin.register(WorkerHeartbeat)
class WorkerAdmin(RecordAdmin):
    list_display = ["host", "pid", "node", "queues", "labels", "slots", "run", "seen_at"]
    list_select_related = ["run"]
