"""The run directory: the one argument of a trainer, and all that it leaves behind.

config.json     what to do                         written before the start
inputs.json     what to do it with, each hashed     written before the start
provenance.json the run, its fence, the code        written before the start; copied to checkpoints
lease.json      fence and deadline                  renewed by the supervisor
want            run | pause | cancel                written by the supervisor
retry.json      what this attempt does otherwise    written before the start, where there is any
beat            steps so far, seconds of one        written by the trainer, once a second
metrics.jsonl   one line per log                    appended by the trainer
log.txt         what the trainer printed            appended; too long, it loses its middle
log-1.txt …     the same of the other processes     appended, where torchrun started several
tensorboard/    event files of TensorBoard           written by the trainer
parts/          scores that are safe                appended by a scoring run, whole files
checkpoints/    ckpt-<step>-<fence>/manifest.json   committed by rename
outputs/        results
outcome.json    how it ended                        written last
"""

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from formats.beats import Beat
from formats.errors import FormatError
from formats.files import read_json, sha256_of, write_atomically, write_json
from formats.leases import Lease
from formats.memory import Peaks
from formats.outcome import Outcome

CONFIG: Final = "config/1"
INPUTS: Final = "inputs/1"
OUTCOME: Final = "outcome/1"
RETRY: Final = "retry/1"
PROVENANCE: Final = "provenance/1"


@dataclass(frozen=True, slots=True)
class Input:
    """A file or folder that a run reads. `sha256` is of the file, or of the folder's manifest.json.

    An empty `sha256` means that nobody has hashed it (a base model of a public hub, by id).
    """

    path: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class MetricLine:
    """One log of a trainer: named values at a step, how far it is, and what it needed so far."""

    step: int
    total: int
    values: dict[str, float]
    stage: str = ""
    time: float = 0.0
    memory: dict[str, float] = field(default_factory=dict)  # peaks that have grown, formats.memory


class Watcher(Protocol):
    """Who hears of each line that is logged."""

    def __call__(self, line: MetricLine) -> None: ...
    def close(self) -> None: ...


class RunDir:
    """Where things lie in a run directory, and how they are read and written."""

    def __init__(self, root: Path | str):
        self.root = Path(root)
        self.config_file = self.root / "config.json"
        self.inputs_file = self.root / "inputs.json"
        self.provenance_file = self.root / "provenance.json"
        self.lease_file = self.root / "lease.json"
        self.want_file = self.root / "want"
        self.retry_file = self.root / "retry.json"
        self.beat_file = self.root / "beat"
        self.metrics_file = self.root / "metrics.jsonl"
        self.log_file = self.root / "log.txt"
        self.checkpoints = self.root / "checkpoints"
        self.outputs = self.root / "outputs"
        self.outcome_file = self.root / "outcome.json"
        self.tensorboard = self.root / "tensorboard"
        # Of the process that logs: what it is asked for, and who else hears of each line.
        self.peaks: Peaks | None = None
        self.watchers: list[Watcher] = []

    def log_of(self, rank: int) -> Path:
        """Where process `rank` of a run prints: the first one, and torchrun itself, to log.txt."""
        return self.log_file if rank == 0 else self.root / f"log-{rank}.txt"

    def logs(self) -> dict[int, Path]:
        """The logs that are there, by rank."""
        found = {0: self.log_file} if self.log_file.exists() else {}
        for file in self.root.glob("log-*.txt"):
            rank = file.stem.removeprefix("log-")
            if rank.isascii() and rank.isdecimal() and file == self.log_of(int(rank)):
                found[int(rank)] = file
        return dict(sorted(found.items()))

    # Before the start, by whoever starts the run.

    def prepare(
        self, config: Mapping[str, Any], inputs: Mapping[str, Input], *, media_root: Path | str = ""
    ) -> None:
        """Write config.json and inputs.json. `inputs` goes from a role to what plays it."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.outputs.mkdir(exist_ok=True)
        rows = {role: asdict(each) for role, each in inputs.items()}
        write_json(self.config_file, CONFIG, config)
        write_json(self.inputs_file, INPUTS, {"inputs": rows, "media_root": str(media_root)})

    def write_provenance(self, values: Mapping[str, Any]) -> None:
        write_json(self.provenance_file, PROVENANCE, values)

    # In the trainer.

    def provenance(self) -> dict[str, Any]:
        """Which run this is, made by which code of what; nothing where nobody supervises it."""
        if not self.provenance_file.exists():
            return {}
        return read_json(self.provenance_file, PROVENANCE)

    def config(self) -> dict[str, Any]:
        return read_json(self.config_file, CONFIG)

    def split(self) -> int:
        """Into how many pieces each forward of the config is to be taken apart: 1, or 2 where an
        earlier attempt ran out of memory. The sums stay the same, the memory halves."""
        if not self.retry_file.exists():
            return 1
        return max(1, int(read_json(self.retry_file, RETRY).get("split", 1)))

    def media_root(self) -> Path:
        return Path(read_json(self.inputs_file, INPUTS)["media_root"])

    def has_input(self, role: str) -> bool:
        return role in read_json(self.inputs_file, INPUTS)["inputs"]

    def input(self, role: str) -> Path:
        """The path that plays a role, after its hash was checked."""
        rows = read_json(self.inputs_file, INPUTS)["inputs"]
        if role not in rows:
            known = ", ".join(sorted(rows)) or "none"
            raise FormatError(f"no input {role!r}; there are: {known}", path=self.inputs_file)
        wanted = Input(**rows[role])
        path = Path(wanted.path)
        if not wanted.sha256:
            return path
        hashed = path / "manifest.json" if path.is_dir() else path
        if not hashed.exists():
            raise FormatError(f"the input {role!r} is missing", path=hashed)
        found = sha256_of(hashed)
        if found != wanted.sha256:
            raise FormatError(
                f"the input {role!r} has changed: expected sha256 {wanted.sha256[:12]}…,"
                f" found {found[:12]}…",
                path=hashed,
            )
        return path

    def log_metrics(
        self, step: int, total: int, values: Mapping[str, float] | None = None, *, stage: str = ""
    ) -> None:
        """Append one line. A value that is not finite is left out: JSON has no word for it."""
        finite = {name: float(v) for name, v in (values or {}).items() if math.isfinite(v)}
        memory = self.peaks.news() if self.peaks is not None else {}
        line = MetricLine(step, total, finite, stage, time.time(), memory)
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(line)) + "\n")
        for watcher in self.watchers:
            watcher(line)

    def close(self) -> None:
        """Nothing more will be logged."""
        while self.watchers:
            self.watchers.pop().close()

    def finish(self, outcome: Outcome) -> None:
        write_json(self.outcome_file, OUTCOME, outcome.to_json())

    def finish_unless_finished(self, outcome: Outcome) -> bool:
        """The first of several processes writes; False for those that come later."""
        own = self.root / f".outcome-{os.getpid()}.json"
        write_json(own, OUTCOME, outcome.to_json())
        try:
            os.link(own, self.outcome_file)
        except FileExistsError:
            return False
        finally:
            own.unlink()
        return True

    # In the supervisor.

    def outcome(self) -> Outcome | None:
        if not self.outcome_file.exists():
            return None
        return Outcome.from_json(read_json(self.outcome_file, OUTCOME))

    def write_retry(self, retry: Mapping[str, Any]) -> None:
        """What this attempt does otherwise than the config says; nothing, for nothing."""
        if retry:
            write_json(self.retry_file, RETRY, retry)
        else:
            self.retry_file.unlink(missing_ok=True)

    def beat(self) -> Beat | None:
        return Beat.read(self.beat_file)

    def write_want(self, want: str) -> None:
        write_atomically(self.want_file, [want.encode()])

    def write_lease(self, fence: int, deadline: float, end: float = 0.0) -> None:
        """Times are of time.monotonic(), which all processes of one host share (formats.leases)."""
        Lease.until(fence, deadline, end).write(self.lease_file)

    def lease(self) -> tuple[int, float] | None:
        """(fence, deadline) as its writer wrote it; None where nobody supervises the run."""
        lease = Lease.read(self.lease_file)
        return None if lease is None else (lease.fence, lease.deadline)

    def metrics_from(self, offset: int) -> tuple[list[MetricLine], int]:
        """The whole lines behind a byte offset, and the offset behind them."""
        if not self.metrics_file.exists():
            return [], offset
        with self.metrics_file.open("rb") as file:
            file.seek(offset)
            block = file.read()
        end = block.rfind(b"\n") + 1
        return list(_metric_lines(block[:end])), offset + end


def _metric_lines(block: bytes) -> Iterator[MetricLine]:
    for text in block.splitlines():
        # A trainer that was killed in the middle of a line leaves one that cannot be read; the
        # resumed trainer logs those steps again.
        try:
            yield MetricLine(**json.loads(text))
        except (ValueError, TypeError):
            continue
