"""The allow-list of base models by page and REST: engineers propose, operators decide."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import audit
from annotation.permissions import is_ml_engineer
from pipelines import proposals
from pipelines.errors import InvalidRunConfig, PipelineError
from pipelines.models import BaseModel, BaseModelProposal
from pipelines.views.access import for_viewers, person
from pipelines.views.api import Door, body_of, text_of

_SHOWN: Final = 100
_FIELDS: Final = ("name", "role", "source", "revision", "why")
Decision = Callable[[BaseModelProposal, User, str], BaseModelProposal]
_DECISIONS: Final[Mapping[str, Decision]] = {
    "approve": proposals.approve,
    "refuse": proposals.refuse,
}


@require_http_methods(["GET", "POST"])
@for_viewers
def base_models(request: HttpRequest) -> HttpResponse:
    """What runs may start from, and what somebody would like to be there."""
    typed: Mapping[str, str] = {}
    fault = ""
    if request.method == "POST":
        typed = {name: str(request.POST.get(name, "")) for name in _FIELDS}
        try:
            made = _propose(person(request), typed)
        except PipelineError as error:
            fault = str(error)
        else:
            audit.record(request, "base_model.propose", made, source=made.source)
            messages.success(request, "It is proposed; an operator decides.")
            return redirect("pipelines:base-models")
    context = {
        "models": BaseModel.objects.select_related("artifact__run", "proposal__decided_by"),
        "proposals": BaseModelProposal.objects.select_related("proposed_by", "decided_by")[:_SHOWN],
        "roles": BaseModel.Role.choices,
        "typed": typed,
        "fault": fault,
        "may_propose": is_ml_engineer(person(request)),
        "may_decide": person(request).is_superuser,
    }
    return render(request, "pipelines/base_models.html", context, status=422 if fault else 200)


@require_http_methods(["POST"])
def decide(request: HttpRequest, proposal_id: int) -> HttpResponse:
    proposal = get_object_or_404(BaseModelProposal, pk=proposal_id)
    try:
        _decide(request, proposal, request.POST.get("act", ""), request.POST.get("note", ""))
    except PipelineError as error:
        messages.error(request, str(error))
    return redirect("pipelines:base-models")


def _propose(user: User, given: Mapping[str, str]) -> BaseModelProposal:
    return proposals.propose(
        user, given["name"], given["role"], given["source"],
        revision=given["revision"], why=given["why"],
    )  # fmt: skip


def _decide(
    request: HttpRequest | Request, proposal: BaseModelProposal, act: str, note: str
) -> BaseModelProposal:
    change = _DECISIONS.get(act)
    if change is None:
        raise InvalidRunConfig(f"act must be one of {', '.join(_DECISIONS)}, got {act[:80]!r}")
    user = request.user
    assert isinstance(user, User)
    decided = change(proposal, user, note)
    audit.record(request, f"base_model.{act}", proposal, source=proposal.source)
    return decided


class BaseModelRow(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    role = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # as the column is called
    revision = serializers.CharField()


class ProposalRow(BaseModelRow):
    why = serializers.CharField()
    state = serializers.CharField()
    proposed_by = serializers.CharField()
    decided_by = serializers.CharField(allow_null=True)
    note = serializers.CharField()
    base_model = serializers.IntegerField(allow_null=True)


class BaseModelList(serializers.Serializer):
    base_models = BaseModelRow(many=True)
    proposals = ProposalRow(many=True)


class ProposalBody(serializers.Serializer):
    name = serializers.CharField()
    role = serializers.ChoiceField(BaseModel.Role.choices)
    source = serializers.CharField(help_text="owner/name, public")  # type: ignore[assignment]
    revision = serializers.CharField(help_text="its commit, 40 hex digits")
    why = serializers.CharField()


class DecisionBody(serializers.Serializer):
    act = serializers.ChoiceField(list(_DECISIONS))
    note = serializers.CharField(default="")


class BaseModelsView(Door):
    @extend_schema(
        summary="What runs may start from, and what is proposed",
        operation_id="base_models_list",
        responses=BaseModelList,
    )
    def get(self, _request: Request) -> Response:
        rows = BaseModelProposal.objects.select_related("proposed_by", "decided_by")[:_SHOWN]
        return Response(
            {
                "base_models": [_model_json(each) for each in BaseModel.objects.order_by("pk")],
                "proposals": [_proposal_json(each) for each in rows],
            }
        )

    @extend_schema(
        summary="Propose a public base model; an operator decides",
        operation_id="base_models_propose",
        request=ProposalBody,
        responses={status.HTTP_201_CREATED: ProposalRow},
    )
    def post(self, request: Request) -> Response:
        body = _known(body_of(request), _FIELDS)
        assert isinstance(request.user, User)
        made = _propose(request.user, {name: text_of(body, name) for name in _FIELDS})
        audit.record(request, "base_model.propose", made, source=made.source)
        return Response(_proposal_json(made), status=status.HTTP_201_CREATED)


class DecisionView(Door):
    @extend_schema(
        summary="Approve or refuse a proposed base model",
        operation_id="base_models_decide",
        request=DecisionBody,
        responses=ProposalRow,
    )
    def post(self, request: Request, proposal_id: int) -> Response:
        body = _known(body_of(request), ("act", "note"))
        proposal = BaseModelProposal.objects.filter(pk=proposal_id).first()
        if proposal is None:
            raise exceptions.NotFound("There is no such proposal.")
        decided = _decide(request, proposal, text_of(body, "act"), text_of(body, "note"))
        return Response(_proposal_json(decided))


def _known(body: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    unknown = sorted(set(map(str, body)) - set(names))
    if unknown:
        raise InvalidRunConfig(
            f"there is no entry {unknown[0][:80]!r} here; there are {', '.join(names)}"
        )
    return body


def _model_json(model: BaseModel) -> dict[str, Any]:
    public = not model.source.startswith("/")
    return {
        "id": model.pk,
        "name": model.name,
        "role": model.role,
        "source": model.source if public else "a folder of this site",
        "revision": model.revision,
    }


def _proposal_json(proposal: BaseModelProposal) -> dict[str, Any]:
    plain = ("id", "name", "role", "source", "revision", "why", "state", "note")
    decided = proposal.decided_by
    return {
        **{name: getattr(proposal, name) for name in plain},
        "proposed_by": proposal.proposed_by.get_username(),
        "decided_by": decided.get_username() if decided else None,
        "base_model": proposal.base_model_id,
    }
