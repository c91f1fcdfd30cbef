"""What this host has: cores, memory, GPUs. Found once, when a worker starts."""

import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from django.conf import settings

logger = logging.getLogger(__name__)
_QUERY: Final = ("--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits")
_MIB, _GB = 1 << 20, 1e9
_ON_THE_CPU: Final = 64  # without GPUs processes share the cores: slower, but they work


def detected() -> dict[str, float | int | str]:
    """cores, memory and gpu_memory (GB; of the smallest GPU), gpus, processes of one run."""
    cores = len(os.sched_getaffinity(0))
    found: dict[str, float | int | str] = {"cores": cores, "memory": _rounded(memory_bytes())}
    gpus = visible(gpu_memory(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    if gpus:
        found |= {"gpus": len(gpus), "gpu_memory": _rounded(min(gpus))}
    return {**found, "processes": processes(len(gpus))}


def processes(gpus: int) -> int:
    """How many processes of one run this worker can start: each needs a GPU, where there is one."""
    if settings.TIEBREAK_LAUNCHER:
        return settings.TIEBREAK_LAUNCHER_HOSTS * settings.TIEBREAK_LAUNCHER_PROCESSES
    return gpus or _ON_THE_CPU


def _rounded(size: float) -> float:
    return int(size / _GB * 10) / 10


def memory_bytes() -> int:
    """Of the host, or of the container that we are in, if that may have less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (Path("/sys/fs/cgroup") / file).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():
            total = min(total, int(text))
    return total


def gpu_memory() -> dict[str, float]:
    """Bytes of each GPU by index and by uuid; nothing where there is no NVIDIA driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    try:
        said = subprocess.run([tool, *_QUERY], capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        logger.warning("nvidia-smi does not answer; this worker has no label of a GPU")
        return {}
    if said.returncode != 0:
        logger.warning("nvidia-smi: %s", (said.stdout + said.stderr).strip()[:300])
        return {}
    found: dict[str, float] = {}
    for line in said.stdout.splitlines():
        index, uuid, size = (part.strip() for part in line.split(","))
        if size.isdecimal():  # "[N/A]" where the driver does not say
            found[index] = found[uuid] = float(size) * _MIB
    return found


def visible(gpus: dict[str, float], shown: str | None) -> list[float]:
    """Those that CUDA_VISIBLE_DEVICES leaves; without it all. The first unknown entry ends it."""
    if shown is None:
        return [size for name, size in gpus.items() if name.isdecimal()]
    found = []
    for word in shown.split(","):
        name = word.strip()
        match = next((size for known, size in gpus.items() if _is(known, name)), None)
        if match is None:
            break
        found.append(match)
    return found


def _is(known: str, name: str) -> bool:
    return known == name or (name.startswith("GPU-") and known.startswith(name))
