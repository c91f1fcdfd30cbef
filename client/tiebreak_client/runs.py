"""Runs: started, watched with a bar, steered, and their logs followed."""

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tqdm import tqdm

from tiebreak_client import calls
from tiebreak_client.calls import Call
from tiebreak_client.errors import RunEnded
from tiebreak_client.models import Point, Run, WholeRun
from tiebreak_client.transport import Transport
from tiebreak_client.waiting import until_ended


class Runs:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def latest(
        self, *, kind: str | None = None, state: str | None = None, before: int | None = None,
        limit: int | None = None,
    ) -> list[Run]:  # fmt: skip
        """The latest first; `before` is the id of the last one of the page before."""
        query = {"kind": kind, "state": state, "before": before, "limit": limit}
        return self._transport.send(calls.LIST_RUNS, query=query).runs

    def start(
        self,
        kind: str,
        config: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Mapping[str, int]] | None = None,
        *,
        nonce: str = "",
        **more: Any,
    ) -> Run:
        """Start a run. `inputs`: {role: {"artifact": id}}, or "base_model", or "run". `more`: name,
        preset, needs, prompts. The same nonce twice is the same run, also over two programs."""
        body = {
            "kind": kind,
            "config": dict(config or {}),
            "inputs": {role: dict(named) for role, named in (inputs or {}).items()},
            "nonce": nonce or str(uuid.uuid4()),
            **more,
        }
        return self._transport.send(calls.START_RUN, body=body)

    def get(self, run_id: int) -> WholeRun:
        return self._transport.send(calls.READ_RUN, run_id=run_id)

    def wait(
        self,
        run_id: int,
        *,
        timeout: float | None = None,
        poll: float = 2.0,
        progress: bool | None = None,
    ) -> WholeRun:
        """Wait until it has ended, with a bar; RunEnded if it failed or was cancelled.

        A site that is away meanwhile is waited for too, for five minutes; Ctrl-C leaves the run
        as it is.
        """
        run = until_ended(
            lambda: self.get(run_id),
            _draw,
            title=f"run {run_id}",
            timeout=timeout,
            poll=poll,
            progress=progress,
        )
        if not run.succeeded:
            raise RunEnded(run.id, run.state, run.words or f"run {run.id} is {run.state}.")
        return run

    def cancel(self, run_id: int) -> Run:
        return self._act(calls.CANCEL_RUN, run_id)

    def retry(self, run_id: int) -> Run:
        return self._act(calls.RETRY_RUN, run_id)

    def pause(self, run_id: int) -> Run:
        """Its state is saved and it stops; `resume` goes on from there."""
        return self._act(calls.PAUSE_RUN, run_id)

    def resume(self, run_id: int) -> Run:
        return self._act(calls.RESUME_RUN, run_id)

    def move(self, run_id: int, priority: int) -> Run:
        """In the queue; -100 to 100, the higher the earlier."""
        return self._transport.send(calls.MOVE_RUN, body={"priority": priority}, run_id=run_id)

    def log(self, run_id: int, *, rank: int = 0) -> str:
        """The end of its log, at most 64 KB."""
        return self._transport.send(calls.READ_LOG, query={"rank": rank}, run_id=run_id).text

    def follow(self, run_id: int, *, rank: int = 0, poll: float = 1.0) -> Iterator[str]:
        """Its log from the beginning, in blocks of whole lines, until the run has ended."""
        offset = 0
        while True:
            ended = self.get(run_id).ended
            while True:
                query = {"offset": offset, "rank": rank}
                log = self._transport.send(calls.READ_LOG, query=query, run_id=run_id)
                if log.text:
                    yield log.text
                if log.end <= offset:
                    break
                offset = log.end
            if ended:
                return
            time.sleep(poll)

    def metrics(self, run_id: int) -> list[Point]:
        """Its figures, thinned to what a screen can show."""
        return self._transport.send(calls.READ_METRICS, run_id=run_id).metrics

    def _act(self, call: Call[Run], run_id: int) -> Run:
        return self._transport.send(call, run_id=run_id)


def _draw(bar: "tqdm[Any]", run: Run) -> str:
    bar.total, bar.n = run.total or None, run.step
    bar.set_postfix_str(" ".join(each for each in (run.state, run.stage, run.left) if each))
    return f"{run.state}: {run.words}"
