"""Logs of runs: as long as the cap allows while they grow, plain text, by process, to take away."""

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from formats.run_dir import RunDir
from pipelines import launching, logs
from pipelines.models import Run
from tests.promises import counts

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]

MB = 1_000_000
LINE = "line {:>9} " + "." * 84 + "\n"


def stored(file: Path) -> int:
    return file.stat().st_blocks * 512 if file.exists() else 0


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _grown(folder: RunDir, lines: int) -> None:
    """A log that was cut each time after some lines, as while a run goes on."""
    folder.root.mkdir(parents=True, exist_ok=True)
    for first in range(0, lines, 5000):
        with folder.log_file.open("a") as log:
            log.writelines(LINE.format(n) for n in range(first, min(first + 5000, lines)))
        logs.shorten(folder)


@pytest.fixture
def small(settings: Any) -> Any:
    settings.TIEBREAK_RUN_LOG_MB = 2.0
    settings.TIEBREAK_RUN_LOG_SECONDS = 0.02
    return settings


def _largest_while(file: Path, work: Callable[[], Any]) -> int:
    found, done = 0, threading.Event()

    def watch() -> None:
        nonlocal found
        while not done.wait(0.01):
            found = max(found, stored(file))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return max(found, stored(file))


@pytest.mark.promise("O3")
def test_a_million_lines_are_kept_within_the_cap_while_they_are_printed(
    queue_count: Callable[..., Run], attempt: Callable[..., Run], settings: Any, figures: Any
) -> None:
    lines, cap = counts((60_000, 2.0), (300_000, 10.0), (1_000_000, 50.0))
    settings.TIEBREAK_RUN_LOG_MB = cap
    settings.TIEBREAK_RUN_LOG_SECONDS = 0.02
    run = queue_count(kind="printing", lines=lines)
    file = launching.run_dir(run).log_file
    begun = time.monotonic()
    largest = _largest_while(file, lambda: attempt())
    seconds = time.monotonic() - begun
    run.refresh_from_db()
    assert run.state == "succeeded"
    printed = lines * len(LINE.format(0))
    assert file.stat().st_size == printed > 1.5 * cap * MB
    assert stored(file) <= cap * MB
    # The first half and the newest lines, whole, and a word where something is missing.
    text = b"".join(logs.download(file)).decode()
    assert text.startswith(LINE.format(0))
    assert text.endswith(LINE.format(lines - 1))
    assert text.count("bytes left out") == 1
    kept = [line for line in text.splitlines() if line.startswith("line ")]
    assert all(len(line) == len(LINE.format(0)) - 1 for line in kept[: len(kept) // 2])
    assert len(kept) * len(LINE.format(0)) > 0.6 * cap * MB
    # Between two looks the child may print on.
    assert largest <= 1.5 * cap * MB
    figures("O3", lines=lines, printed_mb=round(printed / MB, 1), cap_mb=cap,
            largest_mb=round(largest / MB, 1), kept_mb=round(stored(file) / MB, 1),
            seconds=round(seconds, 1))  # fmt: skip


@pytest.mark.mutant("O3")
def test_without_the_cap_the_log_holds_everything(
    queue_count: Callable[..., Run],
    attempt: Callable[..., Run],
    small: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "shorten", lambda _folder: None)
    run = queue_count(kind="printing", lines=40_000)
    attempt()
    assert stored(launching.run_dir(run).log_file) > small.TIEBREAK_RUN_LOG_MB * MB


def test_the_end_of_a_cut_log_follows_by_offset(tmp_path: Path, small: Any) -> None:
    folder = RunDir(tmp_path)
    _grown(folder, 40_000)
    first = logs.read_from(folder.log_file, None)
    assert first.text.endswith(LINE.format(39_999))
    with folder.log_file.open("a") as log:
        log.write("and on\n")
    assert logs.read_from(folder.log_file, first.end).text == "and on\n"
    # Who stopped reading in what is gone goes on behind it, with a whole line.
    behind = logs.read_from(folder.log_file, 1_500_000)
    assert behind.left_out > MB
    assert behind.text.startswith("line ")


def test_where_files_have_no_holes_the_beginning_and_what_comes_is_kept(
    tmp_path: Path, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Kernel:
        @staticmethod
        def fallocate(*_: int) -> int:
            return -1

    monkeypatch.setattr(logs, "_LIBC", Kernel)
    monkeypatch.setattr(logs.ctypes, "get_errno", lambda: errno.EOPNOTSUPP)
    folder = RunDir(tmp_path)
    _grown(folder, 40_000)
    text = folder.log_file.read_text()
    assert folder.log_file.stat().st_size <= 2 * MB
    assert text.startswith(LINE.format(0))
    assert "bytes left out" in text
    assert text.endswith(LINE.format(39_999))


def test_any_other_fault_of_the_disk_is_told(
    tmp_path: Path, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs.ctypes, "get_errno", lambda: errno.EIO)

    class Kernel:
        @staticmethod
        def fallocate(*_: int) -> int:
            return -1

    monkeypatch.setattr(logs, "_LIBC", Kernel)
    with pytest.raises(OSError, match="Input/output error"):
        _grown(RunDir(tmp_path), 40_000)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31mred\x1b[0m\n", "red\n"),
        ("\x1b]0;a new title\x07text\n", "text\n"),
        ("\x1b]8;;https://x.example\x1b\\link\x1b]8;;\x1b\\\n", "link\n"),
        ("an open \x1b]0;string\nhides no further line\n", "an open \nhides no further line\n"),
        ("\x9b2Jcleared\n", "cleared\n"),
        (" 10%|#   \r 50%|##  \r100%|####\n", "100%|####\n"),
        ("lines\r\nof Windows\r\n", "lines\nof Windows\n"),
        ("a\0b\x08c\x7f\n", "abc\n"),
        ("user \u202egnp.exe\n", "user gnp.exe\n"),
        ("tab\tstays, grün und 漢字 too\n", "tab\tstays, grün und 漢字 too\n"),
        (
            '{"at": "2026-11-22T10:11:12.000Z", "message": "step 3", "run": 7}\n',
            "10:11:12 step 3\n",
        ),
    ],
)
def test_what_is_printed_becomes_plain_text(printed: str, shown: str) -> None:
    assert logs.readable(printed) == shown


def test_a_letter_that_is_cut_in_two_waits_for_its_other_half(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_bytes(b"without an end \xc3")
    first = logs.read_from(file, None)
    assert first.text == "without an end "
    file.write_bytes(b"without an end \xc3\xbc")
    assert logs.read_from(file, first.end).text == "ü"


def test_the_last_words_of_every_process_are_told(tmp_path: Path) -> None:
    folder = RunDir(tmp_path)
    folder.log_file.write_text("torchrun: a process has failed\n")
    folder.log_of(1).write_text("began\nSegmentation fault\n")
    assert logs.tail(folder) == (
        "process 1: began\nprocess 1: Segmentation fault\ntorchrun: a process has failed"
    )


# Doors.


@pytest.fixture
def printed(mia: Any, queue_count: Callable[..., Run]) -> Run:
    run = queue_count()
    folder = launching.prepare(run)
    folder.log_file.write_text("\x1b[1m<img src=x onerror=alert(1)>\x1b[0m\n")
    folder.log_of(1).write_text("the second process\n")
    return run


def test_logs_are_taken_away_as_plain_text_by_process(mia: Any, printed: Run) -> None:
    answer = _as(mia).get(reverse("pipelines:log-text", args=[printed.pk]))
    assert b"".join(answer).decode() == "<img src=x onerror=alert(1)>\n"
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == f'attachment; filename="run-{printed.pk}.log.txt"'
    second = _as(mia).get(reverse("pipelines:log-of-process", args=[printed.pk, 1]))
    assert b"".join(second) == b"the second process\n"
    gone = _as(mia).get(reverse("pipelines:log-of-process", args=[printed.pk, 7]))
    assert gone.status_code == 404


def test_the_page_follows_the_log_of_the_process_that_is_asked_for(mia: Any, printed: Run) -> None:
    live = reverse("pipelines:run-live", args=[printed.pk])
    answer = _as(mia).get(live, {"rank": 1}).json()
    assert (answer["log"]["text"], answer["ranks"]) == ("the second process\n", [0, 1])


def test_figures_are_taken_away_as_csv_and_as_lines_of_json(
    mia: Any, queue_count: Callable[..., Run], attempt: Callable[..., Run]
) -> None:
    run = queue_count(steps=3)
    attempt()
    csv = b"".join(_as(mia).get(reverse("pipelines:metrics-csv", args=[run.pk]))).decode()
    assert csv.startswith("step,name,value\r\n")
    assert len(csv.splitlines()) == 1 + run.metrics.count() >= 4
    lines = b"".join(_as(mia).get(reverse("pipelines:metrics-jsonl", args=[run.pk]))).decode()
    assert '{"step": 1, "values": {' in lines
    assert len(lines.splitlines()) == run.metrics.values("step").distinct().count()


def test_a_figure_named_like_a_formula_is_disarmed(mia: Any, printed: Run) -> None:
    from pipelines.progress import Progress

    run = Run.objects.get(pk=printed.pk)
    folder = launching.run_dir(run)
    from pipelines import lifecycle

    claimed = lifecycle.claim([run.queue], "h:1:2", run_id=run.pk)
    assert claimed is not None
    folder.log_metrics(1, 2, {"=1+1": 2.0})
    Progress(claimed, folder).advance()
    csv = b"".join(_as(mia).get(reverse("pipelines:metrics-csv", args=[run.pk]))).decode()
    assert "1,'=1+1,2.0" in csv


@pytest.mark.parametrize("name", ["log-text", "metrics-csv", "metrics-jsonl"])
def test_annotators_take_nothing_of_a_run_away(name: str, alice: Any, printed: Run) -> None:
    assert _as(alice).get(reverse(f"pipelines:{name}", args=[printed.pk])).status_code == 403
