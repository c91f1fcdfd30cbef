"""The REST doors of runs: start, look, cancel, try again. Errors are sentences in JSON."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access.audit_doors import Audited
from annotation.permissions import is_lead, is_ml_engineer
from annotation.views import door
from annotation.views.lead_door import read_number, read_query, read_word
from formats.errors import FormatError
from formats.records import PromptRecord
from pipelines import kinds
from pipelines.errors import InvalidRunConfig, NotAllowed, PipelineError, WrongState
from pipelines.models import Artifact, BaseModel, Run, RunState, Suite
from pipelines.run_cards import cards
from pipelines.splitting import SPLITS, Split
from pipelines.starting import Source, cancel_run, retry_run, start_run
from pipelines.suites.shelf import suite_prompts, with_split
from pipelines.views.shapes_runs import RUN, RUNS, START, WHOLE_RUN

_SOURCES: dict[str, type[Source]] = {"artifact": Artifact, "base_model": BaseModel, "run": Run}
_LATEST = 50
_MOST = 200
_PROMPTS = ("prompts", "watch_prompts")  # roles that a body may give lists for
_ENTRIES = frozenset({"kind", "config", "name", "nonce", "inputs", "needs", "preset", *_PROMPTS})
_STATUS: dict[type[Exception], int] = {WrongState: 409, NotAllowed: 403}  # all others: 422


def answer_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """`{"error": sentence, "code": word}`; None for a fault of ours."""
    if isinstance(error, PipelineError | FormatError):
        code = _STATUS.get(type(error), 422)
        return Response({"error": str(error), "code": type(error).__name__}, status=code)
    return door.answer_error(error, context)


class Door(Audited):
    def get_exception_handler(self) -> Any:
        return answer_error


def viewer(request: Request) -> User:
    user = _user(request)
    if not (is_lead(user) or is_ml_engineer(user)):
        raise NotAllowed("Only leads and ML engineers see runs.")
    return user


def engineer(request: Request) -> User:
    user = _user(request)
    if not is_ml_engineer(user):
        raise NotAllowed("Only ML engineers start, cancel and retry runs.")
    return user


def starter(request: Request, kind: str) -> User:
    """Whoever may start a run of this kind: ML engineers all, leads what the admin lets them."""
    user = viewer(request)
    theirs = kinds.get(kind).for_leads and is_lead(user)
    if not (theirs or is_ml_engineer(user)):
        raise NotAllowed(f"Only ML engineers start runs of the kind {kind}.")
    return user


def _user(request: Request) -> User:
    if not isinstance(request.user, User):
        raise exceptions.NotAuthenticated
    return request.user


def run_of(run_id: int) -> Run:
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        raise exceptions.NotFound("There is no such run.")
    return run


def _card(run: Run, user: User) -> dict[str, Any]:
    run.refresh_from_db()
    return cards([run], user)[0].to_json()


class RunsView(Door):
    @extend_schema(
        summary="Runs, the latest first",
        operation_id="runs_list",
        parameters=[
            OpenApiParameter("kind", str),
            OpenApiParameter("state", enum=RunState.values),
            OpenApiParameter("before", int, description="Only runs with a smaller id: the last."),
            OpenApiParameter("limit", int, description=f"Up to {_MOST}; {_LATEST} if not given."),
        ],
        responses={200: RUNS},
    )
    def get(self, request: Request) -> Response:
        user = viewer(request)
        runs = _wanted(read_query(request, ("kind", "state", "before")))
        return Response({"runs": [card.to_json() for card in cards(runs, user)]})

    @extend_schema(
        summary="Start a run",
        description=(
            '`{"kind", "config", "name", "nonce", "inputs": {role: {"artifact"|"base_model"|"run": '
            'id}}, "prompts": {"suite": name}, "preset": name}`; `watch_prompts` are given like '
            "`prompts`, and “split” takes one side of a suite; `needs` are what its worker must "
            'have, as `{"gpu_memory": 40}`. The same nonce twice gives the same '
            "run; entries of the config go before those of a preset."
        ),
        request=START,
        responses={201: RUN},
    )
    def post(self, request: Request) -> Response:
        body = closed(body_of(request))
        kind = text_of(body, "kind")
        user = starter(request, kind)
        run = start_run(
            kind,
            config_of(body),
            {role: source(role, named) for role, named in object_of(body, "inputs").items()},
            user=user,
            name=text_of(body, "name"),
            files=prompts_of(body),
            nonce=text_of(body, "nonce") or None,
            needs=object_of(body, "needs"),
        )
        return Response(_card(run, user), status=status.HTTP_201_CREATED)


def _wanted(query: dict[str, str]) -> QuerySet[Run]:
    runs = Run.objects.order_by("-id")
    if kind := read_word(query, "kind", kinds.names()):
        runs = runs.filter(kind=kind)
    if state := read_word(query, "state", RunState.values):
        runs = runs.filter(state=state)
    if before := read_number(query, "before"):
        runs = runs.filter(pk__lt=before)
    return runs[: min(read_number(query, "limit") or _LATEST, _MOST)]


def body_of(request: Request) -> dict[str, Any]:
    if not isinstance(request.data, dict):
        raise InvalidRunConfig("the request body must be a JSON object")
    return request.data


def closed(body: dict[str, Any]) -> dict[str, Any]:
    """A specification has these entries and no others: what nobody reads must not look as if."""
    unknown = sorted(set(map(str, body)) - _ENTRIES)
    if unknown:
        raise InvalidRunConfig(
            f"unknown entry {unknown[0][:80]!r} in the specification of a run;"
            f" there are: {', '.join(sorted(_ENTRIES))}"
        )
    return body


def config_of(body: dict[str, Any]) -> dict[str, Any]:
    given, preset = object_of(body, "config"), text_of(body, "preset")
    return kinds.get(text_of(body, "kind")).preset(preset, given) if preset else given


def text_of(body: dict[str, Any], key: str) -> str:
    value = body.get(key, "")
    if not isinstance(value, str):
        raise InvalidRunConfig(f"{key} must be a text, got {value!r}")
    return value


def object_of(body: dict[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key, {})
    if not isinstance(value, dict):
        raise InvalidRunConfig(f"{key} must be a JSON object, got {value!r}")
    return value


def source(role: str, named: object) -> Source:
    """`{"artifact": 3}` as the row that it names. Row ids only: the web accepts no path."""
    if isinstance(named, dict) and len(named) == 1:
        ((table, row_id),) = named.items()
        if table in _SOURCES and isinstance(row_id, int):
            row = _SOURCES[table]._default_manager.filter(pk=row_id).first()
            if row is None:
                raise InvalidRunConfig(f"input {role}: there is no {table} {row_id}")
            return row
    raise InvalidRunConfig(
        f'input {role} must be {{"artifact": id}}, {{"base_model": id}} or {{"run": id}}'
    )


def prompts_of(body: dict[str, Any]) -> dict[str, list[PromptRecord]]:
    """The lists of prompts that a body gives, by role."""
    return {role: _suite_prompts(role, body[role]) for role in _PROMPTS if role in body}


def _suite_prompts(role: str, named: object) -> list[PromptRecord]:
    """All prompts of a suite, or those of one side of the split."""
    given = named if isinstance(named, dict) else {}
    suite = Suite.objects.filter(name=given.get("suite")).first()
    if suite is None or not set(given) <= {"suite", "split"}:
        raise InvalidRunConfig(
            f'{role} must be {{"suite": name}} of an imported suite, and “split” for one side of it'
        )
    found = suite_prompts(suite)
    if "split" not in given:
        return found
    if given["split"] not in SPLITS:
        raise InvalidRunConfig(f"split must be one of {', '.join(SPLITS)}, got {given['split']!r}")
    return with_split(found, Split(), given["split"])


class RunView(Door):
    @extend_schema(summary="One run", responses={200: WHOLE_RUN})
    def get(self, request: Request, run_id: int) -> Response:
        user = viewer(request)
        run = run_of(run_id)
        artifacts = [
            {"id": each.pk, "kind": each.kind, "sha256": each.sha256}
            for each in run.artifacts.all()
        ]
        extra = {"config": run.config, "summary": run.summary, "artifacts": artifacts}
        return Response({**_card(run, user), **extra})


class CancelView(Door):
    @extend_schema(summary="Cancel a run", request=None, responses={200: RUN})
    def post(self, request: Request, run_id: int) -> Response:
        user = engineer(request)
        return Response(_card(cancel_run(run_of(run_id), user), user))


class RetryView(Door):
    @extend_schema(summary="Try a failed run again", request=None, responses={200: RUN})
    def post(self, request: Request, run_id: int) -> Response:
        user = engineer(request)
        return Response(_card(retry_run(run_of(run_id), user), user))
