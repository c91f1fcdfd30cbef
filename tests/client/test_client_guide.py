"""docs/client.md is executed: the client in an empty environment, a live site, a worker, voters."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from tiebreak_client import artifacts, campaigns, command, runs, snapshots, uploads

from tests.annotation.conftest import Annotator, write_clip
from tests.pipelines.conftest import child_environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_engine]
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(sh|python)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
Block = tuple[str, str, str]  # language, mark, text
BLOCKS: list[Block] = _BLOCK.findall(PAGE)
# The constants of other tests look at the database twenty times a second.
CALM = {
    "TIEBREAK_RUN_POLL_SECONDS": "0.3",
    "TIEBREAK_RUN_RENEW_SECONDS": "2",
    "TIEBREAK_RUN_LEASE_SECONDS": "20",
    "TIEBREAK_RUN_LEASE_MARGIN_SECONDS": "5",
}
_NEEDED = ("requests", "urllib3", "certifi", "idna", "charset-normalizer", "tqdm")


def test_every_command_is_in_the_guide() -> None:
    (actions,) = (each for each in command._parser()._actions if each.choices)
    shell = "".join(text for kind, _, text in BLOCKS if kind == "sh")
    assert [name for name in actions.choices or {} if f"tiebreak {name} " not in shell + " "] in (
        [],
        ["campaigns"],
    )
    assert "tiebreak campaigns\n" in shell


@pytest.mark.parametrize(
    ("group", "kind"),
    {
        "campaigns": campaigns.Campaigns,
        "uploads": uploads.Uploads,
        "runs": runs.Runs,
        "artifacts": artifacts.Artifacts,
        "snapshots": snapshots.Snapshots,
    }.items(),
)
def test_every_function_is_in_the_guide(group: str, kind: type) -> None:
    spoken = "".join(text for language, _, text in BLOCKS if language == "python")
    shell = {"snapshots.take": 'tiebreak snapshot "'}
    public = [name for name in vars(kind) if not name.startswith("_")]
    missing = [name for name in public if f"site.{group}.{name}(" not in spoken]
    assert [name for name in missing if shell.get(f"{group}.{name}", "?") not in PAGE] == []


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pip install ./client` without a network: what it needs is linked from here."""
    folder = tmp_path_factory.mktemp("client")
    shutil.copytree(ROOT / "client", folder / "client", ignore=shutil.ignore_patterns("*.pyc"))
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    wheels = folder / "wheels"
    offline = ["--no-index", "--no-deps"]
    subprocess.run(
        [
            *pip,
            "wheel",
            *offline,
            "--no-build-isolation",
            "-w",
            str(wheels),
            str(folder / "client"),
        ],
        check=True,
    )
    (wheel,) = wheels.iterdir()
    python = venv / "bin" / "python"
    subprocess.run([*pip, "--python", str(python), "install", *offline, str(wheel)], check=True)
    (packages,) = (venv / "lib").glob("python*/site-packages")
    for name in _NEEDED:
        for top in {Path(file).parts[0] for file in distribution(name).files or ()}:
            source = Path(str(distribution(name).locate_file(top)))
            if ".." not in top and source.exists() and not (packages / top).exists():
                (packages / top).symlink_to(source)
    return venv


def test_the_environment_has_the_client_and_nothing_of_the_site(environment: Path) -> None:
    program = """
import importlib.util, pathlib, tiebreak_client
for name in ("django", "annotation", "formats", "numpy"):
    print(importlib.util.find_spec(name) is None)
print((pathlib.Path(tiebreak_client.__file__).parent / "py.typed").exists())
"""
    said = subprocess.run(
        [str(environment / "bin" / "python"), "-c", program],
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["True"] * 5


@pytest.fixture
def worker(
    settings: Any, transactional_db: None, database_url: str, tmp_path: Path
) -> Iterator[None]:
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "worker"],
            cwd=ROOT,
            env=child_environment(settings, database_url, **CALM),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    yield
    process.kill()
    process.wait()
    print((tmp_path / "worker.log").read_text()[-6000:])


class Shell:
    """Blocks of the page, one after another, in one folder and with the same variables."""

    def __init__(self, folder: Path, environment: Path, url: str, token: str) -> None:
        self.folder, self.kept = folder, folder / ".variables"
        address = f"export TIEBREAK_URL={url}\nexport TIEBREAK_TOKEN={token}\n"
        self.kept.write_text(f"export PATH={environment / 'bin'}:$PATH\n{address}")
        self.said = ""

    def shell(self, blocks: list[Block]) -> None:
        text = "\n".join(text for kind, _, text in blocks if kind == "sh")
        self._run(f"{text}\nexport -p > {self.kept}")

    def python(self, blocks: list[Block]) -> None:
        program = self.folder / "guide.py"
        program.write_text("\n".join(text for kind, _, text in blocks if kind == "python"))
        self._run(f"python {program}")

    def _run(self, script: str) -> None:
        done = subprocess.run(
            ["bash", "-c", f"set -eu\n. {self.kept}\nset -a\n{script}"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            timeout=240,
        )
        self.said += done.stdout
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def fill(folder: Path) -> None:
    """The files that the guide has."""
    (folder / "squares").mkdir()
    for n in range(4):
        write_clip(folder / "squares" / f"{n}.mp4", seed=n)
    table = "path_A,path_B,prompt\n0.mp4,1.mp4,a square\n2.mp4,3.mp4,a square\n"
    (folder / "squares" / "pairs.csv").write_text(table)
    rows = [f"{n}.mp4,a disc,{'abcd'[n]}\n" for n in range(4)]
    (folder / "pool.csv").write_text("path,prompt,model\n" + "".join(rows))


def fail_twice(user: Any) -> None:
    """Two runs that failed; tried again, they wait for a worker that there is not."""
    from annotation.campaigns import create_campaign
    from pipelines.models import Run, RunState
    from pipelines.starting import start_run

    campaign = create_campaign("Earlier", "videoalign")
    for _ in range(2):
        run = start_run("snapshot", {"campaign": campaign.pk}, user=user, needs={"zone": "moon"})
        message = "The disk was full."
        Run.objects.filter(pk=run.pk).update(state=RunState.FAILED, message=message)


def test_the_guide_does_what_it_says(
    environment: Path, live_server: Any, worker: None, alice: Any, olga: Any, tmp_path: Path
) -> None:
    from django.contrib.auth.models import Group

    from annotation.models import Campaign
    from annotation.tokens import make_token
    from pipelines.models import Run

    olga.groups.set(Group.objects.filter(name__in=("lead", "ml_engineer")))
    scopes = re.findall(
        r"`([a-z]+:[a-z]+|export|runs)`", PAGE.split("the scopes that they need")[1]
    )
    token = make_token(olga, "guide", scopes=scopes[:7])[1]
    here = tmp_path / "here"
    here.mkdir()
    fill(here)
    fail_twice(olga)
    shell = Shell(here, environment, live_server.url, token)
    names = [name for _, name, _ in BLOCKS]
    assert names[:2] == ["install", "address"]
    votes = names.index("after-votes")
    shell.shell(BLOCKS[2:votes])
    browser, first = Annotator(alice), Campaign.objects.get(name="First")
    for _ in range(2):
        browser.vote(browser.next(first))
    shell.shell(BLOCKS[votes:])
    shell.python(BLOCKS[votes:])

    assert (here / "labels.csv").read_text().count("\n") == 3
    assert (here / "votes.jsonl").read_text().count("\n") == 3
    assert (here / "exported" / "manifest.json").exists()
    assert list((here / "as-csv").glob("*.csv"))
    assert (here / "snapshot" / "preferences.jsonl").read_bytes() == (
        here / "again" / "preferences.jsonl"
    ).read_bytes()
    assert "a cancelled run is no success" in shell.said
    assert "The disk was full." in shell.said
    assert "votes/1 2 votes" in shell.said
    assert "2 pairs of" in shell.said
    assert "401 This token is unknown" in shell.said
    assert set(Campaign.objects.values_list("name", flat=True)) == {
        "Earlier",
        "First",
        "Second",
        "Third",
    }
    assert Run.objects.filter(state="cancelled").count() == 2
    assert Run.objects.filter(state="queued", needs={"zone": "moon"}).count() == 2
    assert Run.objects.filter(name="Again").count() == 1
