"""What a run is made by and of: the code, its config, its inputs. Copied into each checkpoint."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from pipelines.models import Run
from pipelines.registry import hash_of

_PATIENCE: Final = 30.0  # seconds that git may take on a cold disk


@cache
def code_commit() -> str:
    """The commit of the code of this process, `-changed` where files differ from it.

    An image has no repository beside the code: its build names the commit (TIEBREAK_CODE_COMMIT).
    """
    named = str(settings.TIEBREAK_CODE_COMMIT)
    return named or _of_repository(Path(settings.CODE_ROOT)) or "unknown"


def _of_repository(folder: Path) -> str:
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return ""
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-changed" if changed else commit


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def of_run(run: Run) -> dict[str, Any]:
    """For provenance.json. The inputs are pinned by then."""
    rows = run.inputs.select_related("artifact", "base_model__artifact")
    return {
        "run": run.pk,
        "kind": run.kind,
        "fence": run.fence,
        "code": code_commit(),
        "config_sha256": run.config_sha,
        "inputs": {row.role: hash_of(row) for row in rows},
    }
