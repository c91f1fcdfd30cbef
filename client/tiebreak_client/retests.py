"""Human re-tests: two generators, blind pairs, the votes of people, a result."""

import uuid
from collections.abc import Mapping
from typing import Any

from tiebreak_client import calls
from tiebreak_client.models import Retest, RetestRow
from tiebreak_client.transport import Transport
from tiebreak_client.waiting import chain_ended


class Retests:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def all(self) -> list[RetestRow]:
        """The latest first."""
        return self._transport.send(calls.LIST_RETESTS).retests

    def start(
        self,
        inputs: Mapping[str, Mapping[str, int]],
        config: Mapping[str, Any] | None = None,
        *,
        nonce: str = "",
    ) -> Retest:
        """`inputs`: {"evaluation": {"artifact": id}}, or "base" and "candidate": adapters or sets
        of clips. The same nonce twice is the same re-test."""
        body = {
            "config": dict(config or {}),
            "inputs": {role: dict(named) for role, named in inputs.items()},
            "nonce": nonce or str(uuid.uuid4()),
        }
        return self._transport.send(calls.START_RETEST, body=body)

    def get(self, retest_id: int) -> Retest:
        return self._transport.send(calls.READ_RETEST, group_id=retest_id)

    def count_now(self, retest_id: int) -> Retest:
        """With the votes that are there."""
        return self._transport.send(calls.COUNT_RETEST, group_id=retest_id)

    def wait(
        self,
        retest_id: int,
        *,
        timeout: float | None = None,
        poll: float = 5.0,
        progress: bool | None = None,
    ) -> Retest:
        """Wait until it is counted, also for the votes of people, which may take days."""
        return chain_ended(
            lambda: self.get(retest_id),
            title=f"re-test {retest_id}",
            timeout=timeout,
            poll=poll,
            progress=progress,
            note=_missing,
        )


def _missing(found: Retest) -> str:
    if found.votes_missing:
        return f"waiting for {found.votes_missing} of {found.votes_wanted} votes"
    return next((each.words for each in found.runs if each.words), "at work")
