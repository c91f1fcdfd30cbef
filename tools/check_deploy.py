"""Would production start with this .env? Asked before it is deployed.

    python -m tools.check_deploy [.env]

The variables are read as `docker compose` reads them; then Django starts with the environment of
the web service, and its own deployment checks must have nothing to say.
"""

import os
import stat
import subprocess
import sys
from pathlib import Path

from tools.compose import ROOT, ComposeError, project, variables_of


def main() -> int:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".env")
    faults = check(path)
    for fault in faults:
        print(f"check-deploy: {fault}")
    if not faults:
        print(f"check-deploy: {path.name} is fit for production; 0 warnings")
    return 1 if faults else 0


def check(path: Path) -> list[str]:
    """Every reason not to deploy with this file."""
    if not path.is_file():
        return [f"there is no {path}: `cp .env.example .env`, then fill it in (`make secrets`)"]
    readable = path.stat().st_mode & stat.S_IRWXO
    faults = [f"{path.name} holds secrets and everybody may read it: chmod 600"] if readable else []
    try:
        services = project(variables_of(path))["services"]
    except ComposeError as error:
        return [*faults, *str(error).splitlines()]
    return [*faults, *_of_django(services["web"]["environment"])]


def _of_django(environment: dict[str, str]) -> list[str]:
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    known = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, **known}, capture_output=True, text=True
    )
    if done.returncode == 0:
        return []
    # A refused start ends in the sentence; a warning is a list of them.
    said = done.stderr.strip().splitlines()
    refused = [line for line in said if "ImproperlyConfigured: " in line]
    if refused:
        return [refused[-1].partition("ImproperlyConfigured: ")[2]]
    return [line.strip() for line in said if line.strip()] or [f"exit code {done.returncode}"]


if __name__ == "__main__":
    raise SystemExit(main())
