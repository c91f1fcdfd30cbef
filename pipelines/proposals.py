"""Base models on the allow-list by two people: an engineer proposes, an operator decides.

The only writer of BaseModelProposal. No model's own code is ever run here: trainers load with the
classes of their libraries, so there is nothing to allow beyond weights and config.
"""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from pipelines.errors import NotAllowed, PipelineError, WrongState
from pipelines.models import BaseModel, BaseModelProposal, ProposalState
from pipelines.registry import add_base_model, check_public

_LONGEST_WHY = 2000


def propose(
    user: User, name: str, role: str, source: str, *, revision: str, why: str
) -> BaseModelProposal:
    """A public id with its commit, and why it is needed."""
    name, why = name.strip(), why.strip()
    if not 1 <= len(name) <= 200:
        raise PipelineError("a base model needs a name of 1 to 200 characters")
    if role not in BaseModel.Role.values:
        raise PipelineError(f"unknown role {role!r}; expected {' or '.join(BaseModel.Role.values)}")
    check_public(source, revision)
    if not 1 <= len(why) <= _LONGEST_WHY:
        raise PipelineError(f"say in 1 to {_LONGEST_WHY} characters why it is needed")
    if BaseModel.objects.filter(name=name).exists():
        raise PipelineError(f"there is a base model {name!r} already")
    try:
        with transaction.atomic():
            return BaseModelProposal.objects.create(
                name=name, role=role, source=source, revision=revision, why=why, proposed_by=user
            )
    except IntegrityError:
        raise PipelineError(f"{name!r} is proposed already, and nobody has decided yet") from None


@transaction.atomic
def approve(proposal: BaseModelProposal, user: User, note: str = "") -> BaseModelProposal:
    """From here on everybody who starts runs may pick it."""
    if proposal.proposed_by_id == user.pk:
        raise NotAllowed("who proposes a base model does not approve it: ask a second person")
    _decide(proposal, user, ProposalState.APPROVED, note)
    model = add_base_model(proposal.name, proposal.role, proposal.source, proposal.revision)
    BaseModelProposal.objects.filter(pk=proposal.pk).update(base_model=model)
    proposal.refresh_from_db()
    return proposal


def refuse(proposal: BaseModelProposal, user: User, note: str = "") -> BaseModelProposal:
    """Also by the one who proposed it, who has thought better of it."""
    _decide(proposal, user, ProposalState.REFUSED, note)
    proposal.refresh_from_db()
    return proposal


def _decide(proposal: BaseModelProposal, user: User, state: ProposalState, note: str) -> None:
    open_ones = BaseModelProposal.objects.filter(pk=proposal.pk, state=ProposalState.PROPOSED)
    changed = open_ones.update(
        state=state, decided_by=user, decided_at=timezone.now(), note=note.strip()[:_LONGEST_WHY]
    )
    if not changed:
        raise WrongState("somebody has decided on this proposal already")
