"""The buttons that start a human re-test, on whatever page there is something to ask about."""

import uuid
from typing import Any, Final

from django import template
from django.template.context import RequestContext

from annotation.permissions import is_lead, is_ml_engineer
from formats.outcome import OutputKind
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact, LoopGroup
from pipelines.retests.sources import sides_of
from pipelines.retests.starting import offers_simulated

register = template.Library()
_ROLES: Final[dict[str, str]] = {
    OutputKind.EVALUATION: "evaluation",
    OutputKind.ADAPTER: "candidate",
}


@register.inclusion_tag("pipelines/retest/_ask.html", takes_context=True)
def ask_people(context: RequestContext, artifact: object) -> dict[str, Any]:
    """A button for an adapter or an evaluation; nothing for what nobody can be asked about."""
    role = _ROLES.get(artifact.kind, "") if isinstance(artifact, Artifact) else ""
    if not isinstance(artifact, Artifact) or not role or not _may(context):
        return {"role": ""}
    try:
        simulated = offers_simulated(sides_of({role: artifact}))
    except InvalidRunConfig:
        return {"role": ""}
    return {
        "role": role,
        "artifact": artifact,
        "simulated": simulated,
        "nonce": uuid.uuid4().hex,
        "request": context["request"],
    }


@register.inclusion_tag("pipelines/retest/_ask_two.html", takes_context=True)
def ask_about(context: RequestContext, group: LoopGroup) -> dict[str, Any]:
    """Two adapters of a group, chosen from lists; nothing where it has left none."""
    adapters = Artifact.objects.filter(run__group=group, kind=OutputKind.ADAPTER).order_by("pk")
    shown = list(adapters.select_related("run")) if _may(context) else []
    simulated = bool(shown) and offers_simulated(sides_of({"candidate": shown[0]}))
    return {
        "adapters": shown,
        "simulated": simulated,
        "nonce": uuid.uuid4().hex,
        "request": context["request"],
    }


def _may(context: RequestContext) -> bool:
    user = context["request"].user
    return is_lead(user) or is_ml_engineer(user)
