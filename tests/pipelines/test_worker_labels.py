"""Runs say what they need of their worker; a worker takes what it has the labels for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from pipelines import detecting, doorbell, lifecycle, tasks, waiting, worker, worker_labels
from pipelines.errors import InvalidRunConfig
from pipelines.models import Run, WorkerHeartbeat
from pipelines.run_cards import cards
from pipelines.starting import start_run

pytestmark = pytest.mark.django_db
SMALL, LARGE = {"gpu_memory": 24, "zone": "a"}, {"gpu_memory": 85.5, "zone": "b"}


def queued(needs: dict[str, Any] | None = None, **more: Any) -> Run:
    values = {"kind": "counting", "config": {}, "config_sha": "", "queue": "gpu"}
    return Run.objects.create(**values, needs=needs or {}, **more)


def claimed(labels: dict[str, Any]) -> list[int]:
    found = []
    while (run := lifecycle.claim(["gpu"], "w", labels=labels)) is not None:
        found.append(run.pk)
    return found


@pytest.mark.parametrize(
    ("needs", "small", "large"),
    [
        ({}, True, True),
        ({"gpu_memory": 24}, True, True),
        ({"gpu_memory": 24.1}, False, True),
        ({"zone": "a"}, True, False),
        ({"gpu_memory": 80, "zone": "b"}, False, True),
        ({"gpus": 1}, False, False),  # a label that is not there
        ({"gpu_memory": "24"}, False, False),  # a word is not a number
        ({"zone": 0}, False, False),
    ],
)
def test_a_number_is_met_by_as_much_and_a_word_by_the_same(
    needs: dict[str, Any], *, small: bool, large: bool
) -> None:
    assert worker_labels.fits(needs, SMALL) is small
    assert worker_labels.fits(needs, LARGE) is large


def test_a_worker_claims_what_it_meets_the_needs_of_and_leaves_the_rest() -> None:
    anybody, large, in_a, nobody = (
        queued(needs) for needs in ({}, {"gpu_memory": 80}, {"zone": "a"}, {"gpu_memory": 500})
    )
    again = queued({"gpu_memory": 80})
    assert claimed(SMALL) == [anybody.pk, in_a.pk]
    assert claimed({}) == []
    assert claimed(LARGE) == [large.pk, again.pk]
    assert list(lifecycle.claimable(["gpu"])) == [nobody]
    assert list(lifecycle.claimable(["gpu"], LARGE)) == []


def test_a_run_by_its_id_is_left_where_it_does_not_fit() -> None:
    run = queued({"gpu_memory": 80})
    assert lifecycle.claim(["gpu"], "w", run_id=run.pk, labels=SMALL) is None
    assert lifecycle.claim(["gpu"], "w", run_id=run.pk, labels=LARGE) == run


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """A run with needs is queued between the look at what is needed and the look at the runs."""
    runs: list[Run] = []
    unmet = lifecycle._unmet

    def look(labels: Any) -> Any:
        found = unmet(labels)
        if len(runs) < 3:
            runs.append(queued({"zone": f"moon {len(runs)}"}, priority=1))
        return found

    monkeypatch.setattr(lifecycle, "_unmet", look)
    return runs


def test_a_run_that_is_queued_while_a_worker_looks_is_left_where_it_does_not_fit(
    joined: list[Run],
) -> None:
    anybody = queued()
    assert claimed(SMALL) == [anybody.pk]
    assert len(joined) == 3
    assert claimed({"zone": "moon 1"}) == [joined[1].pk]


def test_the_race_is_real_who_looks_once_takes_what_does_not_fit(
    joined: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def first(wanted: Callable, labels: Any) -> Run | None:
        run: Run | None = wanted().select_for_update(skip_locked=True, of=("self",)).first()
        return run

    monkeypatch.setattr(lifecycle, "_first_that_fits", first)
    queued()
    assert set(claimed(SMALL)) >= {joined[1].pk}


@pytest.mark.parametrize(
    ("needs", "sentence"),
    [
        ([1], "needs are an object of at most 10 entries"),
        ({"GPU": 1}, "the name of a label is small letters"),
        ({"a b": 1}, "the name of a label is small letters"),
        ({1: 1}, "the name of a label is small letters"),
        ({"gpus": -1}, "the label gpus is a number from 0 up"),
        ({"gpus": float("nan")}, "the label gpus is a number from 0 up"),
        ({"gpus": True}, "the label gpus is a number or a word, got bool"),
        ({"gpus": [1]}, "the label gpus is a number or a word, got list"),
        ({"zone": ""}, "the label zone is a word of 1 to 100"),
        ({"zone": "a\n"}, "the label zone is a word of 1 to 100"),
        ({f"l{n}": 1 for n in range(11)}, "at most 10 entries"),
    ],
)
def test_needs_that_say_nothing_are_refused_and_nothing_is_written(
    test_kinds: None, needs: Any, sentence: str
) -> None:
    with pytest.raises(InvalidRunConfig, match=sentence):
        start_run("counting", {}, user=None, needs=needs)
    assert not Run.objects.exists()


@pytest.mark.parametrize("word", ["gpus", "=1", "Gpus=1", "zone="])
def test_a_label_of_the_command_line_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(CommandError, match="label"):
        call_command("worker", "--once", "--label", word)


def test_a_run_of_several_processes_needs_a_worker_that_can_start_them(test_kinds: None) -> None:
    run = start_run("together", {"processes": 3}, user=None, needs={"zone": "a"})
    assert run.needs == {"processes": 3, "zone": "a"}
    assert start_run("together", {"processes": 1}, user=None).needs == {}
    with pytest.raises(InvalidRunConfig, match="processes must be a whole number"):
        start_run("together", {"processes": "many"}, user=None)


def test_a_worker_says_what_it_has(queue_count: Callable[..., Run], settings: Any) -> None:
    settings.TIEBREAK_WORKER_LABELS = ["zone=a", "disk=2000", "memory=1.5"]
    worker.Worker(["gpu"], 2, worker_labels.parsed(["zone=b"]))._beat()
    labels = WorkerHeartbeat.objects.get().labels
    assert (labels["zone"], labels["disk"], labels["memory"]) == ("b", 2000, 1.5)
    assert labels["cores"] >= 1
    assert labels["processes"] >= 1


# What a host has.

NVIDIA_SMI = """#!/bin/sh
echo '0, GPU-aaaa, 81559'
echo '1, GPU-bbbb, 24564'
echo '2, GPU-cccc, [N/A]'
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(NVIDIA_SMI)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tool


def test_the_gpus_that_a_worker_may_use_are_its_labels(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = detecting.detected()
    assert (found["gpus"], found["gpu_memory"], found["processes"]) == (2, 25.7, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    found = detecting.detected()
    assert (found["gpus"], found["gpu_memory"], found["processes"]) == (1, 85.5, 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b,7,0")
    assert detecting.detected()["gpus"] == 1  # CUDA ends at the first that is not there
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "gpus" not in detecting.detected()


def test_a_driver_that_is_broken_is_no_gpu_and_a_line_in_the_log(
    driver: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver.write_text("#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n")
    assert "gpus" not in detecting.detected()
    assert "version mismatch" in caplog.text


def test_a_worker_with_a_launcher_starts_as_many_processes_as_the_site_says(settings: Any) -> None:
    settings.TIEBREAK_LAUNCHER = "srun"
    settings.TIEBREAK_LAUNCHER_HOSTS, settings.TIEBREAK_LAUNCHER_PROCESSES = 4, 8
    assert detecting.processes(gpus=0) == 32


# What people and brokers hear.


def alive(labels: dict[str, Any], *, node: str = "", queues: tuple[str, ...] = ("gpu",)) -> None:
    WorkerHeartbeat.objects.create(
        owner=f"h:{WorkerHeartbeat.objects.count()}:1", host="h", pid=1, queues=list(queues),
        labels=labels, node=node, slots=2, seen_at=timezone.now(),
    )  # fmt: skip


def test_the_bell_of_a_run_with_needs_rings_at_the_workers_that_meet_them() -> None:
    alive(SMALL, node="small@h")
    alive(LARGE, node="large@h")
    alive(LARGE, node="copies@h", queues=("io",))
    alive(LARGE)  # polls the database
    workers = waiting.live_workers()
    assert doorbell.places(queued(), workers) == ["gpu"]
    assert doorbell.places(queued({"gpu_memory": 80}), workers) == ["large@h"]
    assert doorbell.places(queued({"gpu_memory": 800}), workers) == []


def test_a_sweep_rings_for_no_more_runs_of_a_queue_than_its_workers_have_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rung: list[tuple[int, str]] = []

    def ring(run_id: int, where: str) -> bool:
        rung.append((run_id, where))
        return True

    monkeypatch.setattr(doorbell, "ring", ring)
    alive(SMALL, node="small@h")
    unfit = [queued({"gpu_memory": 800}) for _ in range(3)]
    runs = [queued({"zone": "a"}), *(queued() for _ in range(5))]
    tasks.sweep()
    assert rung == [(runs[0].pk, "small@h"), (runs[1].pk, "gpu")]
    assert not {run_id for run_id, _ in rung} & {run.pk for run in unfit}


def test_a_bell_brings_the_first_run_of_its_queue_whosever_it_was(
    queue_count: Callable[..., Run],
) -> None:
    late, urgent = queue_count(steps=1), queue_count(steps=1)
    Run.objects.filter(pk=urgent.pk).update(priority=5)
    far = queue_count(steps=1)
    Run.objects.filter(pk=far.pk).update(priority=9, needs={"zone": "mars"})
    tasks.ring(late.pk)
    states = dict(Run.objects.values_list("pk", "state"))
    assert states == {late.pk: "queued", urgent.pk: "succeeded", far.pk: "queued"}


def test_people_read_what_a_run_waits_for(mia: Any) -> None:
    run = queued({"gpu_memory": 80, "zone": "b"})
    alive(SMALL)
    words = "gpu_memory 80 or more, zone b"
    assert waiting.waiting_for(run) == f"waits for a worker of the queue gpu with {words}"
    assert cards([run], mia)[0].words == f"No worker of the queue gpu has {words}."
    alive(LARGE)
    assert waiting.waiting_for(run) == "place 1 in the queue"
    assert cards([run], mia)[0].words == "Waits for a free worker."


def test_the_form_of_a_start_asks_for_needs_and_says_who_meets_them(
    test_kinds: None, mia: Any, client: Any
) -> None:
    client.force_login(mia)
    alive(SMALL, queues=("default",))
    asked = {"kind": "counting", "config": "{}", "needs": "gpu_memory=80, zone=b"}
    said = client.post(reverse("pipelines:forecast"), asked).json()["said"]
    worker_says = next(each["text"] for each in said if each["about"] == "worker")
    assert "has gpu_memory 80 or more, zone b" in worker_says
    url = reverse("admin:pipelines_run_add") + "?kind=counting"
    page = client.post(url, {**asked, "needs": "gpu_memory"}).content.decode()
    assert "a label is written name=value" in page
    assert client.post(url, asked).status_code == 302
    run = Run.objects.get()
    assert run.needs == {"gpu_memory": 80, "zone": "b"}
    assert "gpu_memory=80,zone=b" in client.get(f"{url}&like={run.pk}").content.decode()


def test_needs_come_through_rest_and_the_command_line(
    test_kinds: None, mia: Any, client: Any, tmp_path: Path
) -> None:
    client.force_login(mia)
    body = {"kind": "counting", "config": {}, "needs": {"zone": "a"}}
    answer = client.post(reverse("pipelines:api-runs"), body, content_type="application/json")
    assert answer.status_code == 201, answer.json()
    assert Run.objects.get(pk=answer.json()["id"]).needs == {"zone": "a"}
    bad = {**body, "needs": {"zone": None}}
    answer = client.post(reverse("pipelines:api-runs"), bad, content_type="application/json")
    assert answer.status_code == 422, answer.json()
    (tmp_path / "c.json").write_text("{}")
    words = ["start_run", "counting", "--config", str(tmp_path / "c.json")]
    call_command(*words, "--need", "gpu_memory=40", "--need", "zone=a")
    assert Run.objects.latest("pk").needs == {"gpu_memory": 40, "zone": "a"}
    with pytest.raises(CommandError, match="a label is written name=value"):
        call_command(*words, "--need", "gpu_memory")
