"""Writing the runs of a group: all of them or none, and the same ones for the same click."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from pipelines.contests import Source
from pipelines.errors import InvalidRunConfig
from pipelines.models import LoopGroup, Run
from pipelines.starting import start_run


@dataclass(frozen=True, slots=True)
class GroupRuns:
    """Starts the runs of one group. `nonce` makes a double click one group."""

    group: LoopGroup
    user: User
    nonce: str | None

    def start(
        self,
        kind: str,
        values: Mapping[str, Any],
        inputs: Mapping[str, Source],
        name: str,
        **options: Any,
    ) -> Run:
        """Queue one run; what cannot be is an InvalidRunConfig that names the run."""
        nonce = None if self.nonce is None else nonce_of(self.nonce, _step(kind, name))
        try:
            return start_run(
                kind, dict(values), dict(inputs),
                user=self.user, name=name, group=self.group, nonce=nonce, **options,
            )  # fmt: skip
        except InvalidRunConfig as error:
            raise InvalidRunConfig(f"{name} ({kind}): {error}") from error


def nonce_of(nonce: str, step: str) -> str:
    return hashlib.sha256(f"{nonce} {step}".encode()).hexdigest()[:40]


def known_group(user: User, nonce: str, step: str) -> LoopGroup | None:
    """The group that this nonce has started before; `step` is one that every such group has.

    For a transaction: until its end this person starts no other group, or both of two clicks would
    find none, and one of them would be left with a group without runs.
    """
    list(User.objects.filter(pk=user.pk).select_for_update(no_key=True))
    run = Run.objects.filter(created_by=user.pk, nonce=nonce_of(nonce, step)).first()
    return None if run is None else run.group


def _step(kind: str, name: str) -> str:
    # The snapshot is how a loop is found again, whatever its name.
    return kind if kind == "snapshot" else f"{kind} {name}"
