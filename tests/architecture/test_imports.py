"""Torch and Django never share a process; the contracts of pyproject.toml hold."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.services import free_port

ROOT = Path(__file__).parents[2]
DEEP_LEARNING = ("torch", "transformers", "diffusers", "peft", "accelerate", "safetensors")


def python(code: str, *, isolated: bool = False) -> str:
    words = [sys.executable, *(["-I"] if isolated else []), "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    "module",
    [
        "models_rm.config",
        "models_align.config",
        "models_align.latent_reward.config",
        "measuring.config",
        "formats.records",
    ],
)
def test_what_the_web_process_reads_of_the_trainers_is_standard_library_only(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{n.partition('.')[0] for n in sys.modules}}))"
    loaded = set(python(code, isolated=True).split())
    ours = {"models_rm", "models_align", "measuring", "formats"}
    # What .pth files of the environment load at every start is in the second set.
    at_start = set(python("import sys; print(*sys.modules)", isolated=True).split())
    foreign = loaded - set(sys.stdlib_module_names) - ours - at_start - {"__main__"}
    assert not foreign


def test_every_module_of_the_site_loads_without_a_deep_learning_library() -> None:
    """The site, its commands, its admin and the Celery tasks: imported all, lazily or not."""
    loaded = python(
        "import pkgutil, importlib, os, sys\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n"
        "import django; django.setup()\n"
        "for name in ('config', 'annotation', 'pipelines', 'formats'):\n"
        "    package = importlib.import_module(name)\n"
        "    for each in pkgutil.walk_packages(package.__path__, name + '.'):\n"
        "        importlib.import_module(each.name)\n"
        "print(*sorted({each.partition('.')[0] for each in sys.modules}))"
    ).split()
    assert {"django", "celery", "pipelines", "annotation"} <= set(loaded)
    assert not set(DEEP_LEARNING) & set(loaded)


def test_a_page_needs_no_large_library_before_its_figure_does() -> None:
    """Each process of a site is started with every page, and these were the slowest to come."""
    loaded = python(
        "import os, sys\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n"
        "import django; django.setup()\n"
        "import config.urls\n"
        "print(*sys.modules)"
    ).split()
    assert {"annotation.media.bounded", "pipelines.views"} <= set(loaded)
    assert not {"scipy.stats", "scipy.ndimage", "matplotlib", "pandas"} & set(loaded)


def test_a_worker_and_a_run_load_no_page_of_the_admin() -> None:
    loaded = python(
        "import os, sys\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n"
        "import django; django.setup()\n"
        "import pipelines.management.commands.perform, pipelines.management.commands.worker\n"
        "import pipelines.tasks\n"
        "print(*sys.modules)"
    ).split()
    assert "pipelines.supervisor" in loaded
    assert not {"annotation.admin", "pipelines.admin", "config.urls"} & set(loaded)
    # What a kind of run does comes with who does it.
    assert "pipelines.kinds" in loaded
    assert not {"numpy", "scipy", "pyarrow", "av", "PIL", "pipelines.evaluation"} & set(loaded)


def test_what_was_loaded_is_not_looked_through_for_garbage() -> None:
    told = python(
        "import gc, os\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n"
        "import django; django.setup()\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 50_000, gc.get_count()[2])"
    ).split()
    assert told == ["True", "True", "0"]


@pytest.fixture
def site(
    transactional_db: None, database_url: str, settings: Any, tmp_path: Path
) -> Iterator[tuple[int, str]]:
    """The site as production runs it: gunicorn in a process of its own. Gives (pid, address)."""
    port = free_port()
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": database_url,
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "RUNS_ROOT": str(settings.RUNS_ROOT),
        "STATIC_ROOT": str(tmp_path / "static"),
    }
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(collect, cwd=ROOT, env=environment, check=True, timeout=120)
    command = [sys.executable, "-m", "gunicorn", "--config", "python:config.gunicorn"]
    command += ["config.wsgi", "--bind", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        yield process.pid, f"http://127.0.0.1:{port}"
        process.terminate()


def test_the_running_web_process_has_no_deep_learning_library(site: tuple[int, str]) -> None:
    pid, address = site
    for path in ("/accounts/login/", "/admin/login/", "/api/schema/", "/"):
        assert answer(address + path) < 500
    served = [pid, *children_of(pid)]
    assert len(served) > 1
    for each in served:
        mapped = Path(f"/proc/{each}/maps").read_text()
        assert "python" in mapped
        assert "libtorch" not in mapped
        assert "safetensors" not in mapped


def answer(url: str) -> int:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=20) as response:
                status: int = response.status
                return status
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.1)


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]
