"""Suites of prompts, and evaluations of generators on them."""

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tiebreak_client import calls
from tiebreak_client.errors import TiebreakError
from tiebreak_client.models import Evaluation, Suite, SuiteReport, SuiteRow, WholeScoring
from tiebreak_client.transport import Transport
from tiebreak_client.waiting import chain_ended


class Suites:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def all(self) -> list[SuiteRow]:
        return self._transport.send(calls.LIST_SUITES).suites

    def get(self, suite_id: int, *, offset: int = 0, limit: int | None = None) -> Suite:
        """With its prompts from `offset` on, at most a thousand of them."""
        query = {"offset": offset, "limit": limit}
        return self._transport.send(calls.READ_SUITE, query=query, suite_id=suite_id)

    def import_file(
        self,
        path: Path | str,
        name: str,
        *,
        title: str = "",
        images: str = "",
        repair: bool = False,
    ) -> SuiteReport:
        """Prompts of a CSV, JSON lines or text file, whole or not at all. `images`: where the
        paths of reference images start, as `uploads.folder` has given it."""
        local = Path(path)
        if not local.is_file():
            raise TiebreakError(f"There is no file {local}.")
        given = {"name": name, "title": title, "images": images}
        body = {key: value for key, value in given.items() if value}
        if repair:
            body["repair"] = "true"
        return self._transport.send(calls.IMPORT_SUITE, body=body, file=local)

    def import_prompts(
        self, prompts: Iterable[Mapping[str, Any]], name: str, *, title: str = ""
    ) -> SuiteReport:
        """Rows as of a file: {"prompt": text, "category": …}."""
        body = {"name": name, "title": title, "prompts": [dict(each) for each in prompts]}
        return self._transport.send(calls.IMPORT_SUITE, body=body)

    def set_scoring(self, suite_id: int, **way: Any) -> WholeScoring:
        """Judges, weights, VBench dimensions and what else docs/suites.md names."""
        return self._transport.send(calls.SET_SCORING, body=way, suite_id=suite_id)

    def evaluate(
        self,
        suite_id: int,
        inputs: Mapping[str, Mapping[str, int]],
        config: Mapping[str, Any] | None = None,
        *,
        nonce: str = "",
    ) -> Evaluation:
        """Start all runs up to the report. The same nonce twice is the same evaluation."""
        body = {
            "config": dict(config or {}),
            "inputs": {role: dict(named) for role, named in inputs.items()},
            "nonce": nonce or str(uuid.uuid4()),
        }
        return self._transport.send(calls.START_EVALUATION, body=body, suite_id=suite_id)

    def evaluation(self, evaluation_id: int) -> Evaluation:
        return self._transport.send(calls.READ_EVALUATION, group_id=evaluation_id)

    def wait(
        self,
        evaluation_id: int,
        *,
        timeout: float | None = None,
        poll: float = 5.0,
        progress: bool | None = None,
    ) -> Evaluation:
        """Wait for its last run, with a bar; RunEnded if one of them was lost."""
        return chain_ended(
            lambda: self.evaluation(evaluation_id),
            title=f"evaluation {evaluation_id}",
            timeout=timeout,
            poll=poll,
            progress=progress,
            note=_working,
        )


def _working(found: Evaluation) -> str:
    return ", ".join(
        f"{each.kind} {each.state}" for each in found.runs if each.state in ("running", "starting")
    )
