"""What became of a child, in a word for machines and a text for people."""

import errno
import signal
from pathlib import Path
from typing import Final

from formats.outcome import FINAL, ExitCode, Outcome
from formats.run_dir import RunDir
from pipelines import stacks

_WORDS: Final = {
    int(ExitCode.BAD_CONFIG): "bad_config",
    int(ExitCode.BAD_DATA): "bad_data",
    int(ExitCode.NON_FINITE): "non_finite",
    int(ExitCode.OUT_OF_MEMORY): "oom",
    int(ExitCode.DISK_FULL): "disk_full",
    int(ExitCode.RUN_ME_AGAIN): "stopped",
}
_VMSTAT: Final = Path("/proc/vmstat")


def describe(code: int, outcome: Outcome | None, tail: str) -> tuple[str, str]:
    """A word for machines and a text for people about an exit that was not good."""
    if outcome is not None and outcome.exit_code == code and outcome.reason:
        text = outcome.message if code in FINAL else f"{outcome.message}\n{tail}"
        return outcome.reason, text.strip()
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (often: the machine ran out of memory)" if -code == signal.SIGKILL else ""
        return "killed", f"The process was ended by {name}{hint}.\n{tail}".strip()
    if code == 0:
        return "crash", f"The process ended without an outcome.\n{tail}".strip()
    return _WORDS.get(code, "crash"), f"The process ended with code {code}.\n{tail}".strip()


def hung(patience: float, folder: RunDir, fence: int, stuck: list[int]) -> str:
    """About a child that did nothing for so long."""
    file = stacks.file_of(folder, fence)
    kept = f"the stacks of its processes are in {file.name}" if file.exists() else "no stacks"
    text = f"No progress for {patience:.0f} s; {kept}."
    if stuck:
        pids = ", ".join(map(str, stuck))
        text += f" The kernel does not let go of these processes: {pids}."
    return text


# Memory.


def oom_kills() -> int:
    """How many processes the kernel has killed since boot because memory ran out."""
    try:
        lines = _VMSTAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(each.split()[1]) for each in lines if each.startswith("oom_kill ")), 0)


def was_killed_for_memory(code: int, text: str, before: int) -> bool:
    """Killed by the kernel, which counts such kills; or ended by C++, which says why."""
    if -code == signal.SIGKILL:
        return oom_kills() > before
    return -code == signal.SIGABRT and "bad_alloc" in text


# The disk.


def is_disk_full(error: BaseException) -> bool:
    number = getattr(error, "errno", None)
    return number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} or "disk is full" in str(error)
