"""Starting, cancelling and retrying runs: the functions that all doors call.

Whoever may press the button is the door's question (annotation.permissions); whether the run can
work is asked here, before a row is written.
"""

import difflib
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction

from formats.logs import bound
from formats.records import (
    GenerationRecord,
    PairRecord,
    PreferenceRecord,
    PromptRecord,
    ScoreRecord,
)
from pipelines import chunking, doorbell, kinds, launching, wishes
from pipelines.errors import InvalidRunConfig, WrongState
from pipelines.models import Artifact, BaseModel, LoopGroup, Run, RunInput, RunState
from pipelines.parts import Part
from pipelines.retests import people_waits
from pipelines.store.given import keep_given, refer_given
from pipelines.worker_labels import PROCESSES, checked

logger = logging.getLogger(__name__)
Source = Artifact | BaseModel | Run
_LONGEST_ROLE: Final = 60  # of RunInput.role
Record = PromptRecord | PreferenceRecord | GenerationRecord | ScoreRecord | PairRecord


@dataclass(frozen=True, slots=True)
class _Start:
    """What all runs of one start have in common."""

    user: AbstractBaseUser | None
    group: LoopGroup | None
    needs: Mapping[str, Any]


def start_run(
    kind: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, Source] | None = None,
    *,
    user: AbstractBaseUser | None,
    name: str = "",
    files: Mapping[str, Iterable[Record]] | None = None,
    group: LoopGroup | None = None,
    nonce: str | None = None,
    needs: Mapping[str, Any] | None = None,
) -> Run:
    """Queue a run. InvalidRunConfig where it could not work; then nothing is written.

    `inputs` goes from a role to what plays it; a Run stands for what that run will leave. `files`
    goes from a role to records that are written beside the config. The same user and `nonce` twice
    (a double click) give the same run. Where the config asks for chunks, it is the run that
    gathers what they leave. `needs`: what the labels of its worker must give (worker_labels); a run
    that gathers or compares what others made needs none of it.
    """
    spec = kinds.get(kind)
    values = spec.check(config)
    start = _Start(user, group, checked(needs or {}))
    given = {role: list(records) for role, records in (files or {}).items()}
    rows = [_input(spec, role, source) for role, source in (inputs or {}).items()]
    _check_roles(spec, {row.role for row in rows}, given)
    _refuse_inner(spec, rows)
    if spec.fits is not None:
        spec.fits(values, {**(inputs or {}), **given})
    if (twin := _twin(user, nonce)) is not None:
        return twin
    for records in given.values():
        keep_given(records)
    try:
        with transaction.atomic():
            if spec.parts is not None:
                asked = spec.parts(values, {*(inputs or {}), *given}, name)
                return _write_parts(asked, inputs or {}, given, start, nonce=nonce)
            if chunking.is_whole(spec, values):
                return _write_chunks(
                    spec, values, inputs or {}, given, start, name=name, nonce=nonce
                )
            return _write(spec, values, rows, given, start, name=name, nonce=nonce)
    except IntegrityError:
        # Two clicks at the same moment: the other one has won.
        if (twin := _twin(user, nonce)) is not None:
            return twin
        raise


def cancel_run(run: Run, user: AbstractBaseUser) -> Run:
    """Cancel at once what is queued; what runs is stopped by its worker within the grace.

    With a run that gathers chunks or parts goes the work on them, which nobody else waits for.
    """
    cancelled = wishes.cancel(run, user.get_username())
    for part in work_of(run):
        if not part.has_ended and part.state != RunState.COMMITTING:
            with suppress(WrongState):  # it has just ended; the others have not
                wishes.cancel(part, user.get_username())
    return cancelled


def work_of(run: Run) -> list[Run]:
    """The runs that were started for this one alone, when it was: its chunks, or its parts."""
    return [*chunking.chunks_of(run), *_parts_of(run)]


def _parts_of(run: Run) -> list[Run]:
    """The runs that one start has written beside this one; its table is all that they are for."""
    if run.kind not in kinds.names() or kinds.get(run.kind).parts is None:
        return []
    rows = run.inputs.filter(producer__isnull=False).select_related("producer")
    return [row.producer for row in rows if row.producer is not None]


@transaction.atomic
def retry_run(run: Run, user: AbstractBaseUser | None = None) -> Run:
    """Put a failed run back into the queue, with those that failed for want of its output.

    All at once: between one that is back and its input that is not, a worker would fail it again.
    """
    run.refresh_from_db()
    if run.state != RunState.FAILED or not wishes.retry(run):
        raise WrongState(f"run {run.pk} is {run.state}; only a failed run can be tried again")
    for row in run.inputs.filter(artifact=None, producer__state=RunState.FAILED):
        if row.producer is not None:
            _retry_if_failed(row.producer, user)
    for consumer in Run.objects.filter(
        state=RunState.FAILED, reason="input_failed", inputs__producer=run
    ).distinct():
        _retry_if_failed(consumer, user)
    doorbell.ring_on_commit([run])
    return run


def _retry_if_failed(run: Run, user: AbstractBaseUser | None) -> None:
    """Whoever reads two of them may be back already, on the way over the other."""
    run.refresh_from_db()
    if run.state == RunState.FAILED:
        retry_run(run, user)


def _input(spec: kinds.KindSpec, role: str, source: Source) -> RunInput:
    wanted = spec.role(role)
    if wanted is None:
        raise InvalidRunConfig(_unknown_role(spec, role))
    if len(role) > _LONGEST_ROLE:
        raise InvalidRunConfig(
            f"the name of an input has at most {_LONGEST_ROLE} characters, got {len(role)}"
        )
    expected = " or ".join(
        [*wanted.artifacts, *([f"base model ({wanted.base_model})"] if wanted.base_model else [])]
    )
    if isinstance(source, BaseModel) and source.role == wanted.base_model:
        return RunInput(role=role, base_model=source)
    if isinstance(source, Artifact) and source.kind in wanted.artifacts:
        return RunInput(role=role, artifact=source)
    if isinstance(source, Run):
        left = [each for each in kinds.get(source.kind).leaves if each in wanted.artifacts]
        if left:
            return _from_run(role, source, left[0])
    expected = expected or "a list of records"
    raise InvalidRunConfig(
        f"the {role} of a {spec.name} run must be {expected}, got {_word(source)}"
    )


def _from_run(role: str, producer: Run, output: str) -> RunInput:
    if producer.state in (RunState.FAILED, RunState.CANCELLED):
        raise InvalidRunConfig(
            f"run {producer.pk} ({producer.kind}) has {producer.state} and will leave no {output}"
        )
    return RunInput(role=role, producer=producer, producer_kind=output)


def _word(source: Source) -> str:
    if isinstance(source, BaseModel):
        return f"the {source.role} {source.name!r}"
    if isinstance(source, Artifact):
        return f"artifact {source.pk}, which is a {source.kind}"
    return f"run {source.pk}, which is a {source.kind} run"


def _unknown_role(spec: kinds.KindSpec, role: str) -> str:
    known = [each.name for each in spec.roles if not each.inner]
    close = difflib.get_close_matches(role, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known) or 'none'}"
    return f"a {spec.name} run has no input {role!r}; {hint}"


def _check_roles(
    spec: kinds.KindSpec, sources: set[str], given: Mapping[str, list[Record]]
) -> None:
    for role, records in given.items():
        wanted = spec.role(role)
        if wanted is None or not wanted.given:
            raise InvalidRunConfig(_unknown_role(spec, role))
        if not records:
            raise InvalidRunConfig(f"the list of {role} is empty")
        if role in sources:
            raise InvalidRunConfig(f"the input {role!r} is given twice")
    present = sources | set(given)
    for each in spec.roles:
        if each.required and not any(each.names(role) for role in present):
            raise InvalidRunConfig(f"a {spec.name} run needs an input {each.name!r}")


def _refuse_inner(spec: kinds.KindSpec, rows: list[RunInput]) -> None:
    for row in rows:
        role = spec.role(row.role)
        if role is not None and role.inner:
            raise InvalidRunConfig(_unknown_role(spec, row.role))


def _twin(user: AbstractBaseUser | None, nonce: str | None) -> Run | None:
    if nonce is None or user is None:
        return None
    return Run.objects.filter(created_by_id=user.pk, nonce=nonce).first()


def _write(
    spec: kinds.KindSpec,
    config: dict[str, Any],
    rows: list[RunInput],
    given: Mapping[str, list[Record]],
    start: _Start,
    *,
    name: str,
    nonce: str | None,
) -> Run:
    run = Run(
        kind=spec.name,
        name=name,
        config=config,
        config_sha=sha_of(config),
        queue=spec.queue,
        needs=_needs(spec, config, start),
        created_by_id=None if start.user is None else start.user.pk,
        group=start.group,
        nonce=nonce,
    )
    run.save(force_insert=True)
    for row in [*rows, *_written(run, given)]:
        row.run = run
        row.save(force_insert=True)
        if row.file:
            refer_given(row, launching.run_dir(run).root / row.file)
    if spec.waits_for_people:
        people_waits.begin(run, rows)
    doorbell.ring_on_commit([run])
    with bound(run=run.pk):
        logger.info("run %s (%s) is queued", run.pk, run.kind)
    return run


def _needs(spec: kinds.KindSpec, config: Mapping[str, Any], start: _Start) -> dict[str, Any]:
    """What was asked for, and a worker that can start as many processes as the config says."""
    processes = launching.processes_in(spec, config)
    own = {PROCESSES: processes} if processes > 1 else {}
    return {**own, **start.needs}


def _write_chunks(
    spec: kinds.KindSpec,
    config: dict[str, Any],
    inputs: Mapping[str, Source],
    given: Mapping[str, list[Record]],
    start: _Start,
    *,
    name: str,
    nonce: str | None,
) -> Run:
    """One run per chunk, and the one that gathers what they leave; that one is given back."""
    gathering = kinds.get(spec.gathered_by)
    sources = {role: source for role, source in inputs.items() if gathering.role(role) is not None}
    for number, (part_name, part) in enumerate(chunking.parts(spec, config, name)):
        rows = [_input(spec, role, source) for role, source in inputs.items()]
        chunk = _write(spec, part, rows, given, start, name=part_name, nonce=None)
        sources[f"{spec.output}:{number}"] = chunk
    rows = [_input(gathering, role, source) for role, source in sources.items()]
    records = {role: rows for role, rows in given.items() if gathering.role(role) is not None}
    whole = gathering.check({key: config[key] for key in ("chunks", *spec.gathered_with)})
    last = replace(start, needs={})
    return _write(gathering, whole, rows, records, last, name=name, nonce=nonce)


def _write_parts(
    parts: list[Part],
    inputs: Mapping[str, Source],
    given: Mapping[str, list[Record]],
    start: _Start,
    *,
    nonce: str | None,
) -> Run:
    """Each part as a run of its own; the last one is what was asked for, and is given back."""
    made: dict[str, Run] = {}
    for part in parts:
        spec = kinds.get(part.kind)
        sources: dict[str, Source] = {role: inputs[named] for role, named in part.inputs.items()}
        sources |= {role: made[name] for role, name in part.made.items()}
        rows = [_input(spec, role, source) for role, source in sources.items()]
        records = {role: given[role] for role in part.given}
        own, whose = (nonce, replace(start, needs={})) if part is parts[-1] else (None, start)
        config, name = spec.check(part.config), part.name[:200]
        made[part.name] = _write(spec, config, rows, records, whose, name=name, nonce=own)
    return made[parts[-1].name]


def _written(run: Run, given: Mapping[str, list[Record]]) -> list[RunInput]:
    """Records become files of the run directory, named for their schema."""
    rows = []
    for role, records in given.items():
        record = type(records[0])
        file = f"given/{record.SCHEMA.partition('/')[0]}.jsonl"
        # The same class writes all of them: a mixture has no schema.
        sha256 = record.write(launching.run_dir(run).root / file, records)  # type: ignore[arg-type]
        rows.append(RunInput(role=role, file=file, sha256=sha256))
    return rows


def sha_of(config: Mapping[str, Any]) -> str:
    text = json.dumps(config, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
