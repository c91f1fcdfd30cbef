"""Label Studio as the peer: started from the virtual environment that it is installed in, on the
same PostgreSQL and behind the same gunicorn as ours, and asked by the same clients.

    python3.11 -m venv PEER && PEER/bin/pip install label-studio==1.23.2 gunicorn==27.0.1

Analytics, error reports and the look for new versions are off: on a machine without internet they
take minutes. Nothing of it is imported here.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bench.annotation_client import WithToken
from tools.web import Application, WebServer, gunicorn

SET_UP: Final = Path(__file__).with_name("label_studio_set_up.py")
CONFIG: Final = """<View>
  <Header value="$prompt"/>
  <Video name="a" value="$video_a"/>
  <Video name="b" value="$video_b"/>
  {choices}
</View>"""
CHOICES: Final = """<Choices name="{name}" toName="a" choice="single" required="true">
    <Choice value="A"/><Choice value="same"/><Choice value="B"/>
  </Choices>"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running Label Studio with its people; `people[0]` is the administrator."""

    server: WebServer
    people: Sequence[Mapping[str, str]]

    def make_project(self, tasks: int) -> tuple[int, float]:
        """A project of three required choices per task, three annotators each; import seconds."""
        client = WithToken(self.server.url)
        client.token = self.people[0]["password"]
        choices = "".join(CHOICES.format(name=name) for name in ("VQ", "MQ", "TA"))
        project = client.post(
            "/api/projects",
            {"title": f"{tasks} pairs", "label_config": CONFIG.format(choices=choices),
             "maximum_annotations": 3, "sampling": "Sequential sampling"},
        )["id"]  # fmt: skip
        rows = [
            {"prompt": f"a scene, number {n}", "video_a": f"http://127.0.0.1:9/{n}a.mp4",
             "video_b": f"http://127.0.0.1:9/{n}b.mp4"}
            for n in range(tasks)
        ]  # fmt: skip
        started = time.perf_counter()
        client.post(f"/api/projects/{project}/import", rows)
        return project, time.perf_counter() - started


@contextmanager
def label_studio(venv: Path, database: str, folder: Path, people: int) -> Iterator[Peer]:
    """Start it on an empty PostgreSQL database."""
    python = venv / "bin" / "python"
    package = _package_folder(python)
    environment = _environment(database, folder / "data")
    manage = [python, package / "manage.py"]
    for command in ([*manage, "migrate", "-v", "0"], [*manage, "collectstatic", "--noinput"]):
        _run(command, package, environment)
    answer = _run([python, SET_UP, str(people)], package, environment)
    accounts = json.loads(answer.splitlines()[-1])
    application = Application("core.wsgi", package, str(python), config="")
    with gunicorn(environment, folder / "peer.log", application=application) as server:
        yield Peer(server, accounts)


def _package_folder(python: Path) -> Path:
    code = "import importlib.util; print(importlib.util.find_spec('label_studio').origin)"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if found.returncode:
        raise RuntimeError(f"no Label Studio in {python.parent.parent}: {found.stderr[-500:]}")
    return Path(found.stdout.strip()).parent


def _environment(database: str, data: Path) -> dict[str, str]:
    data.mkdir(parents=True)
    url = urlsplit(database)
    return {
        "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
        "DJANGO_DB": "default",
        "POSTGRE_USER": url.username or "",
        "POSTGRE_HOST": url.hostname or "",
        "POSTGRE_PORT": str(url.port),
        "POSTGRE_NAME": url.path.lstrip("/"),
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "FEATURE_FLAGS_OFFLINE": "true",
        "DEBUG": "false",
        "LOG_LEVEL": "ERROR",
        "DATABASE_URL": "",
    }


def _run(command: Sequence[Any], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stderr[-3000:]}")
    return done.stdout
