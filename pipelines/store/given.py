"""Lists that were given to a run (prompts, records) in the store: another host may take the run."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.models import RunInput
from pipelines.store import ledger
from pipelines.store.blobs import blob_store
from pipelines.store.keeping import keep


def keep_given(records: Sequence[Any]) -> None:
    """Before the transaction that writes the run: a store may be slow."""
    with tempfile.TemporaryDirectory(prefix="tiebreak-given-") as scratch:
        path = Path(scratch) / "records.jsonl"
        sha256 = type(records[0]).write(path, records)
        keep(path, sha256, None)


def refer_given(row: RunInput, path: Path) -> None:
    """In it: the file of a run, which `keep_given` has put there.

    A part of what was given (one of several chunks) is another file, and goes there now.
    """
    keys = ledger.reserve({row.sha256: path.stat().st_size}, None, patience=1.0)
    if blob_store().size(keys[row.sha256]) is None:
        blob_store().put(path, keys[row.sha256], row.sha256)
    ledger.refer({row.file: row.sha256}, keys, row)
