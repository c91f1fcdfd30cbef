"""Pages of human re-tests: start one with a click, follow it, count now, read the result."""

import uuid
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from formats.outcome import OutputKind
from pipelines.errors import PipelineError
from pipelines.models import Artifact
from pipelines.retests import page as retest_page
from pipelines.retests.starting import start_retest
from pipelines.views.access import for_viewers, person
from pipelines.views.artifacts import whole_json

_SHOWN: Final = 100
_ROLES: Final = ("evaluation", "candidate", "base")


class StartForm(forms.Form):
    """What the buttons send; only the two sides are needed."""

    evaluation = forms.IntegerField(required=False)
    candidate = forms.IntegerField(required=False)
    base = forms.IntegerField(required=False)
    votes_wanted = forms.IntegerField(required=False, min_value=1, max_value=20)
    extra_votes = forms.IntegerField(required=False, min_value=0, max_value=20)
    limit = forms.IntegerField(required=False, min_value=0, max_value=100_000)
    instructions = forms.CharField(required=False, max_length=20_000)
    allow_differing = forms.BooleanField(required=False)
    simulated = forms.BooleanField(required=False)
    nonce = forms.CharField(required=False, max_length=64)

    def inputs(self) -> dict[str, Any]:
        ids = {role: self.cleaned_data[role] for role in _ROLES if self.cleaned_data[role]}
        return {role: _artifact(role, pk) for role, pk in ids.items()}

    def plan(self) -> dict[str, Any]:
        """The config; what was left empty keeps its default."""
        said = self.cleaned_data
        numbers = {k: said[k] for k in ("votes_wanted", "extra_votes", "limit")}
        return {
            **{key: value for key, value in numbers.items() if value is not None},
            "instructions": said["instructions"],
            "allow_differing": said["allow_differing"],
            "simulated": said["simulated"],
        }


def _artifact(role: str, pk: int) -> Artifact:
    found = Artifact.objects.filter(pk=pk).select_related("run").first()
    if found is None:
        raise PipelineError(f"input {role}: there is no artifact {pk}")
    return found


@never_cache
@require_GET
@for_viewers
def retest_list(request: HttpRequest) -> HttpResponse:
    """All re-tests, and the form for one with options."""
    newest = Artifact.objects.select_related("run").order_by("-pk")
    context = {
        "groups": retest_page.retests().select_related("created_by")[:_SHOWN],
        "adapters": newest.filter(kind=OutputKind.ADAPTER)[:_SHOWN],
        "evaluations": newest.filter(kind=OutputKind.EVALUATION)[:_SHOWN],
        "chosen": request.GET.dict(),
        "nonce": uuid.uuid4().hex,
        "demo": settings.TIEBREAK_DEMO,
    }
    return render(request, "pipelines/retest/list.html", context)


@require_POST
@for_viewers
def start(request: HttpRequest) -> HttpResponse:
    """The one click; pressed again, it leads to what was started."""
    form = StartForm(request.POST)
    if not form.is_valid():
        field, faults = next(iter(form.errors.items()))
        messages.error(request, f"{field}: {faults[0]}")
        return redirect("pipelines:retests")
    try:
        group = start_retest(
            form.plan(),
            form.inputs(),
            person(request),
            nonce=form.cleaned_data["nonce"] or None,
            site=request.build_absolute_uri("/").rstrip("/"),
        )
    except PipelineError as error:
        messages.error(request, f"{str(error)[0].upper()}{str(error)[1:]}.")
        return redirect("pipelines:retests")
    return redirect("pipelines:retest", group.pk)


@never_cache
@require_GET
@for_viewers
def retest(request: HttpRequest, group_id: int) -> HttpResponse:
    return render(request, "pipelines/retest/page.html", _context(request, group_id))


@never_cache
@require_GET
@for_viewers
def retest_state(request: HttpRequest, group_id: int) -> HttpResponse:
    """What moves, for the page that is open."""
    return render(request, "pipelines/retest/_state.html", _context(request, group_id))


def _context(request: HttpRequest, group_id: int) -> dict[str, Any]:
    group = get_object_or_404(retest_page.retests(), pk=group_id)
    return {"view": retest_page.view(group, person(request)), "group": group}


@require_POST
@for_viewers
def count_now(request: HttpRequest, group_id: int) -> HttpResponse:
    group = get_object_or_404(retest_page.retests(), pk=group_id)
    try:
        retest_page.count_now(group, person(request))
        messages.success(request, "The votes that are there will be counted.")
    except PipelineError as error:
        messages.error(request, str(error))
    return redirect("pipelines:retest", group.pk)


@require_GET
@for_viewers
def human_json(_request: HttpRequest, artifact_id: int) -> HttpResponse:
    """The result, whole."""
    return whole_json(artifact_id, OutputKind.HUMAN_TEST, "human-test")
