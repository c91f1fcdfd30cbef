"""The door to the trainers: run directory, argv, environment, start, signals.

Nothing that a person typed reaches the argv: it is a fixed template and the run directory.
"""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from formats import logs
from formats.leases import TAG
from formats.outcome import ExitCode
from formats.run_dir import Input, RunDir
from pipelines import isolation, kinds, provenance
from pipelines.errors import ArtifactMissing, InvalidRunConfig
from pipelines.kinds import KindSpec
from pipelines.launchers import far_argv, far_environment, goes_there
from pipelines.models import Run, RunInput

# Where a site keeps its GPUs apart, its copies of public models, and the package of VBench.
_PASSED_ON: Final = (
    "CUDA_VISIBLE_DEVICES", "HF_HOME", "TIEBREAK_VBENCH_PYTHON", "VBENCH_CACHE_DIR",
)  # fmt: skip
# How the site is set up: what only a child of manage.py may know.
_OF_THE_SITE: Final = ("MEDIA_STORAGE_URL", "MEDIA_S3_", "TIEBREAK_MEDIA_")
# What starts the trainer several times; the number and the trainer's own words follow.
_TORCHRUN: Final = ("-I", "-m", "trainers.torchrun")
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


def run_dir(run: Run) -> RunDir:
    return RunDir(Path(settings.RUNS_ROOT).absolute() / str(run.pk))


# Before the start.


def prepare(run: Run) -> RunDir:
    """Write config.json, inputs.json and a fresh `want`; what an earlier attempt left stays."""
    folder = run_dir(run)
    processes_of(kinds.get(run.kind), run)
    pin_inputs(run)
    inputs = {row.role: resolve(row) for row in _inputs(run)}
    folder.prepare(run.config, inputs, media_root=Path(settings.MEDIA_ROOT).absolute())
    folder.write_provenance(provenance.of_run(run))
    folder.write_want("run")
    folder.write_retry(run.retry)
    folder.beat_file.unlink(missing_ok=True)
    return folder


def pin_inputs(run: Run) -> None:
    """Replace "what that run will leave" by what it left."""
    for row in run.inputs.filter(artifact=None, producer__isnull=False).select_related("producer"):
        assert row.producer is not None
        left = row.producer.artifacts.filter(kind=row.producer_kind).first()
        if left is None:
            raise ArtifactMissing(
                f"run {row.producer_id} ({row.producer.kind}) left no {row.producer_kind}, "
                f"which this run reads as its {row.role}"
            )
        row.artifact = left
        row.save(update_fields=["artifact"])


def _inputs(run: Run) -> Iterator[RunInput]:
    yield from run.inputs.select_related("artifact", "base_model__artifact")


def resolve(row: RunInput) -> Input:
    """Where a trainer finds what plays this role: an absolute path, or the id of a public model."""
    if row.file:
        return Input(str(run_dir(row.run).root / row.file), row.sha256)
    if row.base_model is not None and row.base_model.artifact is None:
        return Input(row.base_model.place, row.base_model.sha256)
    artifact = row.artifact if row.base_model is None else row.base_model.artifact
    if artifact is None:
        raise ArtifactMissing(f"the {row.role} of run {row.run_id} is not there yet")
    return Input(str(Path(settings.RUNS_ROOT).absolute() / artifact.path), artifact.sha256)


def argv(spec: KindSpec, folder: Path, *, processes: int = 1) -> list[str]:
    """Fixed words, the run directory, and the number of processes where it is more than one.

    `-I` keeps the environment out of Python's search path.
    """
    if spec.command is None:
        return [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "perform", str(folder)]
    together = [] if processes == 1 else [*_TORCHRUN, str(processes)]
    return [sys.executable, *together, *spec.command, str(folder)]


def command_line(spec: KindSpec, run: Run) -> list[str]:
    """Of this run: on this host, or on those that the launcher of this worker finds."""
    folder, processes = run_dir(run).root, processes_of(spec, run)
    if goes_there(spec):
        return far_argv(sys.executable, spec.command or (), run, processes, folder)
    return argv(spec, folder, processes=processes)


def processes_of(spec: KindSpec, run: Run) -> int:
    """How many processes share the work of this run."""
    return processes_in(spec, run.config)


def processes_in(spec: KindSpec, config: Mapping[str, Any]) -> int:
    """How many processes a config asks for. InvalidRunConfig for what is no number."""
    asked = spec.processes(config)
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        raise InvalidRunConfig(f"processes must be a whole number, at least 1; got {asked!r}")
    return asked


def environment(spec: KindSpec, run: Run, *, slots: int) -> dict[str, str]:
    """What the child may know. A trainer sees no secret and no database."""
    given = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "OMP_NUM_THREADS": str(max(1, threads(spec, slots=slots) // processes_of(spec, run))),
        "HF_HUB_OFFLINE": "1",
        TAG: f"{run_dir(run).root}#{run.fence}",
        logs.FORMAT: settings.TIEBREAK_LOG_FORMAT,
    }
    if spec.command is not None:
        # Clips are decoded once, whatever run needs them.
        given["TIEBREAK_FRAME_CACHE"] = str(settings.TIEBREAK_FRAME_CACHE)
    given |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if goes_there(spec):
        given |= far_environment()
    return given | (_django_environment() if spec.perform is not None else {})


def _django_environment() -> dict[str, str]:
    set_up = {name: value for name, value in os.environ.items() if name.startswith(_OF_THE_SITE)}
    return set_up | {
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
        "DATABASE_URL": _database_url(),
        "SECRET_KEY": settings.SECRET_KEY,
        "MEDIA_ROOT": str(Path(settings.MEDIA_ROOT).absolute()),
        "RUNS_ROOT": str(Path(settings.RUNS_ROOT).absolute()),
        "ARTIFACT_STORE_URL": settings.ARTIFACT_STORE_URL,
        "TIEBREAK_VAR": str(settings.VAR),
    }


def _database_url() -> str:
    """The URL of the database that this process really uses."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{Path(values['NAME']).absolute()}"
    user, password, host, name = (
        quote(str(values[key]), safe="") for key in ("USER", "PASSWORD", "HOST", "NAME")
    )
    who = f"{user}:{password}" if password else user
    port = f":{values['PORT']}" if values["PORT"] else ""
    return f"postgresql://{who}@{host}{port}/{name}"


def threads(spec: KindSpec, *, slots: int) -> int:
    """CPU threads of one trainer. More threads than cores cost minutes (DEPENDENCIES 8)."""
    asked = spec.threads or settings.TIEBREAK_TRAINER_THREADS
    return asked or max(1, len(os.sched_getaffinity(0)) // max(slots, 1))


# The child.


def start(spec: KindSpec, run: Run, *, slots: int) -> subprocess.Popen[bytes]:
    """Start the child in a session of its own; what it prints is appended to log.txt.

    The kernel kills the child when the calling *thread* ends (PR_SET_PDEATHSIG), however it ends:
    so the thread that starts a child must be the one that waits for it.
    """
    folder = run_dir(run)
    with folder.log_file.open("ab") as log:
        return subprocess.Popen(
            command_line(spec, run),
            env=environment(spec, run, slots=slots),
            cwd=folder.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A few system calls, bound before the fork: nothing there that could wait for a lock.
            preexec_fn=_tied_to(os.getpid(), _memory(spec), _wall(spec, run)),  # noqa: PLW1509
        )


def _memory(spec: KindSpec) -> int:
    """Bytes of address space that a trainer may have; 0 sets no limit."""
    megabytes: int = settings.TIEBREAK_TRAINER_MEMORY_MB
    return megabytes * 1_000_000 if spec.command is not None else 0


def _wall(spec: KindSpec, run: Run) -> Callable[[], None] | None:
    """What holds a trainer to its own processes; None for a child that needs the site."""
    return isolation.wall(processes=processes_of(spec, run)) if isolation.isolated(spec) else None


def _tied_to(
    parent: int, memory: int, wall: Callable[[], None] | None = None
) -> Callable[[], None]:
    def tie() -> None:
        if wall is not None:
            wall()  # first: the kernel forgets the wish below where a process changes its rights
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(ExitCode.RUN_ME_AGAIN)  # It died before the kernel knew our wish.

    return tie


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the child and all that it started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def end(process: subprocess.Popen[bytes], run: Run, *, patience: float = 5.0) -> list[int]:
    """End the child and everything that it started; give the processes that would not die."""
    signal_group(process, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)  # The kernel may hold it for as long as a disk does not answer.
    return kill_leftovers(run, patience=patience)


def kill_leftovers(run: Run, *, patience: float = 5.0) -> list[int]:
    """Kill processes of this run, of this fence or an older one; give those that would not die."""
    deadline = time.monotonic() + patience
    while (found := leftovers(run)) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return found


def leftovers(run: Run) -> list[int]:
    """Processes on this host that carry the tag of this run and have not ended."""
    return [each.pid for each in tagged() if each.run_id == run.pk and each.fence <= run.fence]


@dataclass(frozen=True, slots=True)
class Tagged:
    """A process on this host that was started for an attempt at a run of this site."""

    pid: int
    run_id: int
    fence: int


def tagged() -> Iterator[Tagged]:
    """All of them, but for this process itself."""
    prefix = f"{TAG}={Path(settings.RUNS_ROOT).absolute()}/".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            entries = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # It has just ended, or it belongs to somebody else.
        for entry in entries:
            run_id, _, fence = entry.removeprefix(prefix).partition(b"#")
            if entry.startswith(prefix) and run_id.isdigit() and fence.isdigit():
                yield Tagged(int(folder.name), int(run_id), int(fence))
                break
