"""What is started, with which words and which environment."""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pipelines import kinds, launching
from pipelines.errors import InvalidRunConfig
from pipelines.models import Run

HOSTILE = [
    "--flag",
    "$(touch /tmp/owned)",
    "; rm -rf /",
    "../../etc/passwd",
    "/etc/passwd",
    "http://example.invalid/x",
    "a\nb",
    "nul\0",
    "-c import os",
    "%s{0}",
]
FIXED = {"PATH", "HOME", "LANG", "OMP_NUM_THREADS", "HF_HUB_OFFLINE", "TIEBREAK_RUN_TAG"}
FIXED |= {"TIEBREAK_LOG_FORMAT"}
DJANGO = {
    "DATABASE_URL",
    "MEDIA_ROOT",
    "RUNS_ROOT",
    "ARTIFACT_STORE_URL",
    "TIEBREAK_VAR",
    "SECRET_KEY",
    "DJANGO_SETTINGS_MODULE",
}
TRAINERS = {
    "reward_model": ("models_rm", "train"),
    "learning_curve": ("models_rm", "learning-curve"),
    "scoring": ("models_rm", "score"),
    "scores_gathered": ("models_rm", "gather"),
    "composition": ("models_rm", "compose"),
    "conversion": ("models_rm", "conversion"),
    "reward_evaluation": ("models_rm", "evaluate"),
    "reward_benchmark": ("models_rm", "benchmark"),
    "generation": ("models_align", "sample"),
    "generations_gathered": ("models_align", "gather"),
    "alignment": ("models_align", "train"),
    "guidance_cells": ("models_align", "grid"),
    "latent_reward": ("models_align", "latent_reward"),
    "pretrain": ("demo", "pretrain"),
    "votes": ("demo", "annotate"),
    "vbench": ("measuring", "vbench"),
    "vbench_gathered": ("measuring", "gather"),
    "truth": ("demo", "measure"),
}


@pytest.mark.promise("S8")
@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", TRAINERS)
def test_the_argv_is_a_fixed_template_whatever_the_config_says(
    kind: str, text: str, settings: Any
) -> None:
    run = Run(pk=7, kind=kind, name=text, config={text: text}, stage=text)
    folder = launching.run_dir(run).root
    package, word = TRAINERS[kind]
    expected = [sys.executable, "-I", "-m", package, word, str(Path(settings.RUNS_ROOT) / "7")]
    assert launching.argv(kinds.get(kind), folder) == expected


def test_a_django_bound_kind_is_a_child_of_manage_py(settings: Any) -> None:
    bound = [kinds.get(name) for name in kinds.names() if name not in TRAINERS]
    assert {"snapshot", "pairing", "evaluation"} <= {spec.name for spec in bound}
    for spec in bound:
        words = launching.argv(spec, Path("/runs/7"))
        assert words == [
            sys.executable,
            str(settings.BASE_DIR / "manage.py"),
            "perform",
            "/runs/7",
        ]


@pytest.mark.promise("S9")
def test_a_trainer_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "DATABASE_URL", "CELERY_BROKER_URL", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    for name in ("CUDA_VISIBLE_DEVICES", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    run = Run(pk=7, kind="reward_model", config={}, fence=4)
    given = launching.environment(kinds.get("reward_model"), run, slots=1)
    assert set(given) == FIXED | {"TIEBREAK_FRAME_CACHE"}
    assert "secret" not in given.values()
    assert given["TIEBREAK_RUN_TAG"].endswith("/runs/7#4")


def test_a_trainer_is_told_which_gpu_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    given = launching.environment(kinds.get("reward_model"), Run(pk=7, config={}), slots=1)
    assert given["CUDA_VISIBLE_DEVICES"] == "3"


def test_a_django_bound_child_gets_the_database_and_nothing_more(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "secret")
    for name in ("CUDA_VISIBLE_DEVICES", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    given = launching.environment(kinds.get("snapshot"), Run(pk=7, config={}), slots=1)
    assert set(given) == FIXED | DJANGO


@pytest.mark.parametrize(
    ("kind", "package"), [("reward_model", "models_rm"), ("alignment", "models_align")]
)
def test_several_processes_are_one_torchrun_with_a_number_and_nothing_else_of_the_config(
    kind: str, package: str
) -> None:
    spec = kinds.get(kind)
    run = Run(pk=7, kind=kind, config={"processes": 4, "note": "; rm -rf /"})
    count = launching.processes_of(spec, run)
    assert launching.argv(spec, Path("/runs/7"), processes=count) == [
        sys.executable, "-I", "-m", "trainers.torchrun", "4", "-I", "-m", package, "train",
        "/runs/7",
    ]  # fmt: skip


@pytest.mark.parametrize("asked", ["4", "2; true", 0, -1, True, 2.0, [2], None])
def test_a_number_of_processes_that_is_none_never_reaches_the_argv(asked: object) -> None:
    run = Run(pk=7, kind="reward_model", config={"processes": asked})
    with pytest.raises(InvalidRunConfig, match="processes must be a whole number"):
        launching.processes_of(kinds.get("reward_model"), run)


def test_processes_of_one_run_share_its_threads(settings: Any) -> None:
    settings.TIEBREAK_TRAINER_THREADS = 4
    spec = kinds.get("reward_model")
    for processes, threads in ((1, "4"), (2, "2"), (8, "1")):
        run = Run(pk=7, kind="reward_model", config={"processes": processes})
        assert launching.environment(spec, run, slots=1)["OMP_NUM_THREADS"] == threads


def test_all_trainers_share_one_cache_of_frames(settings: Any) -> None:
    for kind in ("reward_model", "scoring"):
        given = launching.environment(kinds.get(kind), Run(pk=7, config={}), slots=1)
        assert given["TIEBREAK_FRAME_CACHE"] == str(settings.TIEBREAK_FRAME_CACHE)
        assert Path(given["TIEBREAK_FRAME_CACHE"]).is_absolute()


def test_threads_are_shared_between_the_slots_of_a_worker(settings: Any) -> None:
    spec = kinds.get("reward_model")
    cores = len(os.sched_getaffinity(0))
    settings.TIEBREAK_TRAINER_THREADS = 0
    assert launching.threads(spec, slots=1) == cores
    assert launching.threads(spec, slots=10 * cores) == 1
    settings.TIEBREAK_TRAINER_THREADS = 2
    assert launching.threads(spec, slots=1) == 2


def test_the_real_child_is_alone_in_its_session_without_input_and_in_its_folder(
    queue_count: Any, attempt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEBREAK_TEST_SECRET", "secret")
    look = (
        "import json,os,sys; print(json.dumps({'argv': sys.orig_argv[1:], 'cwd': os.getcwd(),"
        " 'session': os.getsid(0) == os.getpid(), 'stdin': os.readlink('/proc/self/fd/0'),"
        " 'fds': sorted(os.listdir('/proc/self/fd')), 'environ': sorted(os.environ)}))"
    )
    spec = kinds.KindSpec("look", "Look", dict, command=("-I", "-c", look))
    run = queue_count()
    folder = launching.prepare(run)
    launching.start(spec, run, slots=1).wait(10)
    seen = json.loads(folder.log_file.read_text())
    assert seen["argv"] == ["-I", "-c", look, str(folder.root)]
    assert seen["cwd"] == str(folder.root)
    assert seen["session"] is True
    assert seen["stdin"] == "/dev/null"
    # Standard streams, and the folder that listdir itself has open: nothing was inherited.
    assert seen["fds"] == ["0", "1", "2", "3"]
    passed_on = {"CUDA_VISIBLE_DEVICES", "HF_HOME", "LC_CTYPE"}
    assert set(seen["environ"]) - passed_on == FIXED | {"TIEBREAK_FRAME_CACHE"}


def test_a_child_is_tied_to_the_thread_that_started_it(queue_count: Any) -> None:
    """Why the thread that starts a child must wait for it, in a Celery pool as well."""
    spec = kinds.KindSpec(
        "sleep", "Sleep", dict, command=("-I", "-c", "import time; time.sleep(60)")
    )
    run = queue_count()
    launching.prepare(run)
    children = []
    thread = threading.Thread(
        target=lambda: children.append(launching.start(spec, run, slots=1)), daemon=True
    )
    thread.start()
    thread.join()
    assert children[0].wait(5) == -signal.SIGKILL
