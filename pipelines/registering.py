"""What a finished run left is verified and becomes rows, in the transaction that ends the run."""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import Error, connection, transaction

from formats.checkpoints import verify_folder
from formats.errors import FormatError
from formats.files import sha256_of
from formats.outcome import Outcome, Output
from formats.run_dir import RunDir
from pipelines import doorbell, kinds, launching, lifecycle
from pipelines.errors import Lost, StoreError
from pipelines.models import Artifact, Run, RunState
from pipelines.provenance import code_commit
from pipelines.store.keeping import Kept, keep

logger = logging.getLogger(__name__)
_KEPT_ASIDE: Final = "refused-{fence}"


def read_outcome(folder: RunDir) -> Outcome | None:
    """What the child said about its end; an unreadable outcome is none."""
    try:
        return folder.outcome()
    except (FormatError, KeyError, TypeError, ValueError) as error:
        logger.warning("%s cannot be read: %s", folder.outcome_file, error)
        return None


def finished_outcome(folder: RunDir) -> Outcome | None:
    """The outcome of an earlier attempt that had come to its end; any other one is removed.

    An attempt that was killed between its result and its outcome left a whole folder that no row
    and no outcome knows of. It goes, because the next attempt commits a folder of that name.
    """
    outcome = read_outcome(folder)
    if outcome is not None and outcome.exit_code == 0:
        return outcome
    folder.outcome_file.unlink(missing_ok=True)
    for manifest in folder.outputs.glob("*/manifest.json"):
        logger.warning("%s is removed: its attempt ended without an outcome", manifest.parent)
        shutil.rmtree(manifest.parent)
    return None


def commit(run: Run, outcome: Outcome) -> bool:
    """Verify, store, then register everything and end the run in one transaction: the rows last.

    False: the run was moved on by somebody else before the commit began.
    """
    if not lifecycle.move(run, RunState.COMMITTING):
        return False
    spec = kinds.get(run.kind)
    try:
        with kept_alive(run):
            for output in outcome.outputs:
                verify(launching.run_dir(run), output)
            kept = stored(run, outcome)
            if spec.ingest is not None:
                spec.ingest(run, outcome)
        with transaction.atomic():
            _end_well(run, outcome, spec, kept)
    except StoreError as error:
        # Its results lie in the run directory: the next attempt has nothing to do but this.
        run.state = RunState.COMMITTING
        return lifecycle.try_again(run, "store", str(error))
    except FormatError as error:
        _set_aside(run)
        return lifecycle.move(run, RunState.FAILED, reason="bad_output", message=str(error))
    except (Lost, Error):
        run.state = RunState.COMMITTING  # A rolled back transaction has not moved it.
        raise
    except Exception as error:
        logger.exception("run %s: its results could not be registered", run.pk)
        run.state = RunState.COMMITTING
        message = f"Its results could not be registered: {error}"
        return lifecycle.move(run, RunState.FAILED, reason="not_registered", message=message)
    return True


def verify(folder: RunDir, output: Output) -> None:
    """Refuse an output that lies elsewhere, is missing, or is not what its hash says."""
    path = (folder.root / output.path).resolve()
    if not path.is_relative_to(folder.root.resolve()) or path == folder.root.resolve():
        raise FormatError(f"the output {output.path!r} lies outside the run directory")
    refuse_other_bytes(path, output.sha256)


def refuse_other_bytes(path: Path, sha256: str) -> None:
    """FormatError where a file, or a folder by its manifest, is not what a hash says."""
    if path.is_dir():
        verify_folder(path)
        path = path / "manifest.json"
    if not path.is_file():
        raise FormatError("the output is missing", path=path)
    if sha256_of(path) != sha256:
        raise FormatError("the output is damaged: its sha256 differs from the outcome", path=path)


def note_stored(artifact: Artifact, size: int) -> bool:
    """An artifact of before the store is in it now."""
    rows = Artifact.objects.filter(pk=artifact.pk, stored=False)
    return rows.update(stored=True, bytes=size) == 1


def stored(run: Run, outcome: Outcome) -> list[Kept]:
    """All outputs in the store, in their order; no row speaks of them yet."""
    root = launching.run_dir(run).root
    return [keep(root / each.path, each.sha256, run) for each in outcome.outputs]


def _end_well(run: Run, outcome: Outcome, spec: kinds.KindSpec, kept: list[Kept]) -> None:
    ended = lifecycle.move(
        run, RunState.SUCCEEDED, summary=outcome.summary, message=outcome.message, reason=""
    )
    if not ended:
        raise Lost
    artifacts = [
        Artifact(
            run=run,
            kind=each.kind,
            name=run.name,
            path=f"{run.pk}/{Path(each.path).as_posix()}",
            sha256=each.sha256,
            meta=each.meta,
            code=code_commit(),
            bytes=files.bytes,
            stored=True,
        )
        for each, files in zip(outcome.outputs, kept, strict=True)
    ]
    for artifact, files in zip(artifacts, kept, strict=True):
        artifact.save(force_insert=True)
        files.refer(artifact)
    if spec.finish is not None:
        spec.finish(run, outcome, artifacts)
    doorbell.ring_on_commit(
        Run.objects.filter(state=RunState.QUEUED, inputs__producer=run).distinct()
    )


def _set_aside(run: Run) -> None:
    """Another try must not meet what was refused."""
    folder = launching.run_dir(run)
    folder.outcome_file.unlink(missing_ok=True)
    if folder.outputs.exists():
        folder.outputs.rename(folder.root / _KEPT_ASIDE.format(fence=run.fence))


@contextmanager
def kept_alive(run: Run) -> Iterator[None]:
    """Renew the lease from another thread while this one hashes and copies."""
    done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(run, done), name=f"lease-{run.pk}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


def _keep(run: Run, done: threading.Event) -> None:
    try:
        while not done.wait(settings.TIEBREAK_RUN_RENEW_SECONDS):
            try:
                lifecycle.renew(run)
            except Error as error:
                logger.warning("run %s: the lease was not renewed: %s", run.pk, error)
    finally:
        connection.close()
