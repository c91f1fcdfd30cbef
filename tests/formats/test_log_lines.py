"""Every line is JSON, carries its ids, and can neither be forged nor tell a secret (O3)."""

import json
import logging
import subprocess
import sys
import threading
from io import StringIO
from typing import Any

import pytest

from formats import logs


@pytest.fixture
def lines() -> Any:
    """A logger of JSON lines, and what it has written."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    logger = logging.Logger("tests.lines")  # noqa: LOG001  not one of the process
    logger.addHandler(handler)
    return logger, lambda: [json.loads(each) for each in stream.getvalue().splitlines()]


@pytest.mark.promise("O3")
def test_what_is_bound_stands_on_every_line_inside_and_on_none_outside(lines: Any) -> None:
    logger, written = lines
    logger.info("before")
    with logs.bound(request="r1"):
        logger.info("a click")
        with logs.bound(run=7, fence=2):
            logger.info("starts %s", "well")
        logger.info("an answer")
    logger.info("after")
    ids = [
        {name: each[name] for name in ("request", "run", "fence") if name in each}
        for each in written()
    ]
    assert ids == [{}, {"request": "r1"}, {"request": "r1", "run": 7, "fence": 2},
                   {"request": "r1"}, {}]  # fmt: skip
    assert written()[2]["message"] == "starts well"


@pytest.mark.promise("O3")
def test_threads_do_not_see_the_ids_of_one_another(lines: Any) -> None:
    logger, written = lines
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        with logs.bound(run=number):
            barrier.wait()
            for _ in range(50):
                logger.info("run %s", number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    found = written()
    assert len(found) == 400
    assert all(each["message"] == f"run {each['run']}" for each in found)


@pytest.mark.promise("O3")
@pytest.mark.parametrize(
    "name",
    [
        'eve\n{"at": "2026-01-01", "level": "INFO", "message": "forged"}',
        "eve\r\nINFO forged",
        "eve\x1b[2K\x1b[1A\x1b[31mforged",
        "eve\u2028forged",
        "eve\x85forged",
        "eve\u202eforged",
        'eve", "run": 99, "x": "',
        "eve\x00\x08\x7f",
    ],
)
@pytest.mark.parametrize("formatter", [logs.JsonLines, logs.PlainLines])
def test_a_hostile_name_forges_no_line(name: str, formatter: Any) -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter())
    logger = logging.Logger("tests.hostile")  # noqa: LOG001
    logger.addHandler(handler)
    logger.warning("%s logged in", name)
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    assert text.endswith("\n")
    assert not set(text[:-1]) & set("\x00\x08\x1b\r\n\x7f\x85\u2028\u202e")
    if formatter is logs.JsonLines:
        line = json.loads(text)
        assert "run" not in line
        assert line["message"].endswith("logged in")


SECRETS = {
    "url": ("redis://:hunter2hunter2@cache:6379/0 is down", "hunter2hunter2"),
    "user of a url": ("postgresql://tiebreak:pa%24s@db/tiebreak", "pa%24s"),
    "bearer": ("Authorization: Bearer tb_abcdefghijklmnop1234", "abcdefghijklmnop1234"),
    "basic": ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "setting": ("SECRET_KEY='f00-bar+baz/qux'", "f00-bar+baz/qux"),
    "json": ('{"password": "correct horse", "x": 1}', "correct"),
    "cookie": ("sessionid=k3jh4k5jh34k5jh; csrftoken=abcabcabc", "k3jh4k5jh34k5jh"),
    "hub": ("token hf_AbCdEfGhIjKlMnOpQrSt used", "AbCdEfGhIjKlMnOpQrSt"),
    "cloud": ("key AKIAIOSFODNN7EXAMPLE refused", "IOSFODNN7EXAMPLE"[4:]),
    "signature": ("GET /v/1234?u=3&x=99&s=deadbeefdeadbeef", "deadbeefdeadbeef"),
    "web token": ("id eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
    "private key": ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA", "MIIabc"),
}


@pytest.mark.promise("O3")
@pytest.mark.parametrize("name", sorted(SECRETS))
def test_secrets_are_masked_in_messages_and_tracebacks(name: str, lines: Any) -> None:
    text, secret = SECRETS[name]
    logger, written = lines
    logger.info("%s", text)
    try:
        raise ValueError(text)  # noqa: TRY301
    except ValueError:
        logger.exception("it failed")
    whole = json.dumps(written())
    assert secret not in whole
    assert whole.count("***") >= 2


@pytest.mark.parametrize(
    "text", ["5 tokens a second", "the token bucket is empty", "see https://example.org/a:b@c"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert logs.masked(text) == text


def test_a_library_that_logs_badly_loses_nothing(lines: Any) -> None:
    logger, written = lines
    logger.info("%d clips of %s", "three")  # noqa: PLE1206  that is the point
    assert "clips of" in written()[0]["message"]
    assert "three" in written()[0]["message"]


TRAINER = """
import logging, sys, threading, warnings
from formats.logs import of_trainer
of_trainer(run=7, fence=2, rank=1)
print("printed by a library")
sys.stderr.write("half a ")
sys.stderr.write("line\\n")
print("10%\\r 50%\\r100% done")
warnings.warn("this is old")
logging.getLogger("ours").info("step %s", 3)
thread = threading.Thread(target=lambda: print("of a thread"))
thread.start(); thread.join()
"""


@pytest.mark.promise("O3")
def test_all_that_a_trainer_prints_is_a_line_with_run_fence_and_rank() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAINER], env={"TIEBREAK_LOG_FORMAT": "json"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == ""
    found = [json.loads(each) for each in done.stderr.splitlines()]
    assert all((each["run"], each["fence"], each["rank"]) == (7, 2, 1) for each in found)
    messages = [each["message"] for each in found]
    for wanted in ("printed by a library", "half a line", "100% done", "step 3", "of a thread"):
        assert wanted in messages
    assert any("this is old" in each for each in messages)


def test_without_the_wish_for_json_a_trainer_prints_as_ever() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAINER], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("printed by a library\n")


def test_a_line_of_json_is_read_by_people_as_its_time_and_message() -> None:
    line = '{"at": "2026-11-22T10:11:12.000Z", "level": "INFO", "message": "step 3", "run": 7}'
    assert logs.readable(line) == "10:11:12 step 3"
    assert logs.readable("Traceback (most recent call last):") == (
        "Traceback (most recent call last):"
    )
    assert logs.readable('{"at": 3}') == '{"at": 3}'
