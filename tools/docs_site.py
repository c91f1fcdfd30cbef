"""Build the docs site into var/docs/site: `make docs`. A warning is an error.

The REST page is made from the schema of the site's own code before it, so it never says more than
the code.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "var" / "docs" / "site"
SCHEMA = ROOT / "var" / "docs" / "openapi.json"


def build(site: Path = SITE) -> int:
    """0, or the exit code of the step that did not go well."""
    SCHEMA.parent.mkdir(parents=True, exist_ok=True)
    # Not the notice of a major version that does not exist yet.
    environment = {**os.environ, "DISABLE_MKDOCS_2_WARNING": "true", "NO_MKDOCS_2_WARNING": "true"}
    commands = [
        ["manage.py", "spectacular", "--format", "openapi-json", "--fail-on-warn",
         "--file", str(SCHEMA)],
        ["-m", "mkdocs", "build", "--strict", "--quiet", "--clean", "--site-dir", str(site)],
    ]  # fmt: skip
    for command in commands:
        done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment)
        if done.returncode != 0:
            return done.returncode
    return 0


def main() -> int:
    code = build()
    if code == 0:
        print(f"the docs are built: {SITE / 'index.html'}")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
