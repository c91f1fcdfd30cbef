"""docs/client.md is executed: the client in an empty environment, a live site, a worker, voters."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from tiebreak_client import (
    artifacts,
    campaigns,
    command,
    reports,
    retests,
    runs,
    snapshots,
    suites,
    uploads,
)

from formats.outcome import Outcome, Output, OutputKind
from formats.records import PairRecord, VideoRef
from formats.run_dir import RunDir
from tests.annotation.conftest import Annotator, write_clip
from tests.pipelines.conftest import child_environment
from tests.pipelines.loop_world import PRETEND, base_models, play, play_all, remembered

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_engine]
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^(?:<!-- (\S+) -->\n)?```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
Block = tuple[str, str, str]  # language, mark, text
BLOCKS: list[Block] = [(kind, mark, text) for mark, kind, text in _BLOCK.findall(PAGE)]
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
    known = list(actions.choices or {})
    assert [name for name in known if not re.search(rf"tiebreak {name}[ \n]", shell)] == []


@pytest.mark.parametrize(
    ("group", "kind"),
    {
        "campaigns": campaigns.Campaigns,
        "uploads": uploads.Uploads,
        "runs": runs.Runs,
        "artifacts": artifacts.Artifacts,
        "snapshots": snapshots.Snapshots,
        "suites": suites.Suites,
        "retests": retests.Retests,
        "reports": reports.Reports,
    }.items(),
)
def test_every_function_is_in_the_guide(group: str, kind: type) -> None:
    spoken = "".join(text for language, _, text in BLOCKS if language == "python")
    shell = {"snapshots.take": 'tiebreak snapshot "', "retests.count_now": "--count-now"}
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


@contextmanager
def worker(settings: Any, database_url: str, log_file: Path) -> Iterator[None]:
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "worker"],
            cwd=ROOT,
            env=child_environment(settings, database_url, **CALM),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()
        print(log_file.read_text()[-6000:])


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
    prompts = [f"prompt {n},{'people' if n % 2 else 'things'},test\n" for n in range(4)]
    (folder / "prompts.csv").write_text("prompt,category,split\n" + "".join(prompts))


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


def left(kind: str, leave: Any, **inputs: Any) -> Any:
    """What a run has left that was played before."""
    from pipelines.models import Run, RunInput

    run = Run.objects.create(kind=kind, name=f"A {kind}", config={}, config_sha="x")
    for role, source in inputs.items():
        RunInput.objects.create(run=run, role=role, **source)
    return play(run, leave).artifacts.get()


def pairs(_run: Any, folder: RunDir) -> Outcome:
    clip = VideoRef("v", "v.mp4", "0" * 64, 8.0, 4)
    row = PairRecord("p", "p", "elsewhere", "train", clip, clip, 1.0, 0.9, 0.1, "rewards")
    sha256 = PairRecord.write(folder.outputs / "pairs.jsonl", [row])
    return Outcome(0, outputs=(Output(OutputKind.PAIRS, "outputs/pairs.jsonl", sha256),))


def train_nothing() -> None:
    """An adapter and a reward model, as an evaluation needs them."""
    from pipelines.models import BaseModel

    base_models()
    left("pretrain", PRETEND["reward_model"])
    of = {"base_model": BaseModel.objects.get(role="generator")}
    made_of = {"pairs": {"artifact": left("pretrain", pairs)}, "generator": of}
    left("alignment", PRETEND["alignment"], **made_of)


@pytest.fixture
def shell(environment: Path, live_server: Any, olga: Any, alice: Any, tmp_path: Path) -> Shell:
    from django.contrib.auth.models import Group

    from annotation.accounts.tokens import make_token

    olga.groups.set(Group.objects.filter(name__in=("lead", "ml_engineer")))
    named = PAGE.split("the scopes that they need")[1].split("\n\n")[0]
    token = make_token(olga, "guide", scopes=re.findall(r"`([a-z:]+)`", named))[1]
    here = tmp_path / "here"
    here.mkdir()
    fill(here)
    return Shell(here, environment, live_server.url, token)


def part(mark: str, until: str = "") -> list[Block]:
    """The blocks from a mark on, up to another one."""
    marks = [each for _, each, _ in BLOCKS]
    return BLOCKS[marks.index(mark) : marks.index(until) if until else None]


def test_the_guide_does_what_it_says(
    shell: Shell, settings: Any, database_url: str, alice: Any, olga: Any, tmp_path: Path
) -> None:
    from annotation.models import Campaign
    from pipelines.models import Run

    here = shell.folder
    fail_twice(olga)
    with worker(settings, database_url, tmp_path / "worker.log"):
        shell.shell(part("install", "after-votes")[2:])
        browser, first = Annotator(alice), Campaign.objects.get(name="First")
        for _ in range(2):
            browser.vote(browser.next(first))
        shell.shell(part("after-votes", "evaluate"))
        shell.python([*part("after-votes", "evaluate"), *part("errors")])

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
    made = set(Campaign.objects.values_list("name", flat=True))
    assert made == {"Earlier", "First", "Second", "Third"}
    assert Run.objects.filter(state="cancelled").count() == 2
    assert Run.objects.filter(state="queued", needs={"zone": "moon"}).count() == 2
    assert Run.objects.filter(name="Again").count() == 1


def test_evaluations_and_re_tests_of_the_guide_do_what_it_says(shell: Shell, alice: Any) -> None:
    """Their trainings are played: what they are made of has tests of its own."""
    from annotation.campaigns import ensure_built_in_sets
    from annotation.models import Campaign
    from pipelines.models import Artifact, LoopGroup

    ensure_built_in_sets()
    train_nothing()
    with remembered():
        shell.shell(part("evaluate", "evaluated"))
        play_all(LoopGroup.objects.get())
        shell.shell(part("evaluated", "voted"))
        group = LoopGroup.objects.latest("pk")
        play(group.runs.get(kind="retest"))
        browser, campaign = Annotator(alice), Campaign.objects.get()
        browser.vote(browser.next(campaign))
        shell.shell(part("voted", "counted"))
        for kind in ("human_test", "report"):
            play(group.runs.get(kind=kind))
        shell.python(part("counted", "errors"))
    assert re.search(r"^VQ \d \d \d \{.*'wilson_low'", shell.said, re.MULTILINE)
    assert Artifact.objects.filter(kind="human_test").count() == 1
    assert list((shell.folder / "report").iterdir())
    assert LoopGroup.objects.count() == 4
