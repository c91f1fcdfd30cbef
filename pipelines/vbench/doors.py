"""What all doors of VBench call: take files in, start the run that reads or measures."""

import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser

from annotation.media.keeping import incoming
from formats.files import write_atomically
from formats.vbench import PROTOCOLS
from formats.vbench_official import UNIT, read_results
from pipelines.errors import InvalidRunConfig
from pipelines.models import Run
from pipelines.starting import Source, start_run
from pipelines.vbench.importing import IMPORT, MOST_FILES

FOLDER: Final = "vbench"  # below the folder for imports
_ODD: Final = re.compile(r"[^\w.-]+", re.ASCII)
File = tuple[str, bytes]


def start_import(
    files: Sequence[File],
    *,
    user: AbstractBaseUser | None,
    protocol: str = "t2v",
    scale: str = UNIT,
    generator: str = "",
    inputs: Mapping[str, Source] | None = None,
    name: str = "",
    nonce: str | None = None,
) -> Run:
    """A run that makes one result of the files' contents. FormatError before anything is kept."""
    if len(files) > MOST_FILES:
        raise InvalidRunConfig(f"at most {MOST_FILES} files at a time, got {len(files)}")
    if protocol not in PROTOCOLS:
        raise InvalidRunConfig(
            f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol[:40]!r}"
        )
    if files:
        read_results(files, PROTOCOLS[protocol], scale=scale)
    kept = _keep(files)
    config: dict[str, Any] = {"files": kept, "protocol": protocol, "scale": scale}
    try:
        run = start_run(
            IMPORT, {**config, "generator": generator}, inputs, user=user, name=name, nonce=nonce
        )
    except Exception:
        _drop(kept)
        raise
    if run.config["files"] != kept:
        _drop(kept)  # a second click: the run of the first one has files of its own
    return run


def _drop(kept: Sequence[str]) -> None:
    for each in kept:
        (incoming() / each).unlink(missing_ok=True)


def _keep(files: Sequence[File]) -> list[str]:
    """Their names below the folder for imports: what people called them, in a folder of ours."""
    folder = f"{FOLDER}/{uuid.uuid4()}"
    kept: list[str] = []
    for number, (name, data) in enumerate(files):
        clean = _ODD.sub("_", Path(name).name)[-80:].lstrip(".") or f"results-{number}.json"
        target = f"{folder}/{clean}"
        if target in kept:
            target = f"{folder}/{number}-{clean}"
        write_atomically(incoming() / target, [data])
        kept.append(target)
    return kept
