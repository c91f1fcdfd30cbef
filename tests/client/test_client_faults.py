"""What the client makes of refusals, breaks and strange answers."""

import copy
import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiebreak_client as tb
from tiebreak_client import Tiebreak
from tiebreak_client.decoding import decode
from tiebreak_client.models import Campaign, Upload

from tests.client.conftest import Site, answer, cut, hang_up

TOKEN = "tb_secret"
CAMPAIGNS = json.dumps({"campaigns": []}).encode()


@pytest.fixture
def client(site: Site) -> Tiebreak:
    return Tiebreak(site.url, TOKEN, backoff=0)


def said(error: str, code: str = "refused", **more: Any) -> bytes:
    return json.dumps({"error": error, "code": code, **more}).encode()


REFUSALS: list[tuple[int, str, type[tb.Refused]]] = [
    (400, "unreadable", tb.Unreadable),
    (401, "authentication_failed", tb.TokenRefused),
    (403, "not_allowed", tb.NotAllowed),
    (403, "scope_missing", tb.ScopeMissing),
    (404, "not_found", tb.NotFound),
    (409, "conflict", tb.Conflict),
    (418, "teapot", tb.Refused),
    (422, "bad_campaign", tb.Invalid),
    (500, "error", tb.ServerFault),
    (507, "disk_full", tb.ServerFault),
]


@pytest.mark.parametrize(("status", "code", "kind"), REFUSALS)
def test_each_refusal_is_a_type_with_the_sentence_of_the_site(
    status: int, code: str, kind: type[tb.Refused], client: Tiebreak, site: Site
) -> None:
    site.says(answer(status, said("Because.", code, line=7)))
    with pytest.raises(kind, match=r"^Because\.$") as told:
        client.campaigns.get(3)
    assert (told.value.status, told.value.code, told.value.details) == (status, code, {"line": 7})
    assert len(site.asked) == 1


def test_a_refusal_without_json_is_a_refusal_too(client: Tiebreak, site: Site) -> None:
    site.says(answer(500, b"<h1>Oh</h1>", Content_Type="text/html"))
    with pytest.raises(tb.ServerFault, match="answered 500 without a sentence"):
        client.campaigns.all()


def test_who_is_asked_to_wait_waits_and_asks_again(client: Tiebreak, site: Site) -> None:
    site.says(answer(429, said("Later."), Retry_After="1"), answer(200, CAMPAIGNS))
    assert client.campaigns.all() == []
    assert len(site.asked) == 2


def test_a_start_that_was_told_to_wait_is_sent_again_as_the_same_run(
    client: Tiebreak, site: Site
) -> None:
    """429 means that nothing was done; and the nonce is the same all the same."""
    site.says(answer(429, said("Later."), Retry_After="0"), answer(422, said("No such kind.")))
    with pytest.raises(tb.Invalid):
        client.runs.start("nothing")
    first, second = (json.loads(each.body) for each in site.asked)
    assert first == second
    assert first["nonce"]


def test_who_is_only_told_to_wait_is_told_so_in_the_end(client: Tiebreak, site: Site) -> None:
    site.says(answer(429, said("Later.", "throttled"), Retry_After="0"))
    with pytest.raises(tb.TooManyRequests, match="Later"):
        client.campaigns.all()
    assert len(site.asked) == 6


@pytest.mark.parametrize("trouble", [hang_up, answer(503, b"busy"), answer(502, b"bad gateway")])
def test_reading_again_after_a_break_costs_nothing(
    trouble: Callable[..., None], client: Tiebreak, site: Site
) -> None:
    site.says(trouble, trouble, answer(200, CAMPAIGNS))
    assert client.campaigns.all() == []
    assert len(site.asked) == 3


def test_a_keyed_act_is_sent_again_under_the_same_key(client: Tiebreak, site: Site) -> None:
    site.says(hang_up, answer(409, said("Closed.")))
    with pytest.raises(tb.Conflict):
        client.campaigns.open(3)
    keys = {each.headers["Idempotency-Key"] for each in site.asked}
    assert (len(site.asked), len(keys)) == (2, 1)


def test_a_start_that_got_no_answer_is_sent_again_under_its_nonce(
    client: Tiebreak, site: Site
) -> None:
    site.says(hang_up, answer(503, b""), answer(201, run("queued")))
    assert client.runs.start("snapshot", {"campaign": 1}).id == 7
    assert len({each.body for each in site.asked}) == 1
    assert len(site.asked) == 3


def test_an_act_without_a_key_is_not_sent_twice(client: Tiebreak, site: Site) -> None:
    site.says(hang_up)
    with pytest.raises(tb.NoAnswer, match="does not answer"):
        client.runs.cancel(3)
    assert len(site.asked) == 1


def test_a_site_that_is_not_there_is_said(client: Tiebreak) -> None:
    with pytest.raises(tb.NoAnswer, match=r"http://127\.0\.0\.1:9 does not answer"):
        Tiebreak("http://127.0.0.1:9", TOKEN, backoff=0).campaigns.all()


STRANGE = [
    (b"<html>", "no JSON"),
    (b"[]", "should be an object"),
    (b"{}", "has no 'campaigns'"),
    (b'{"campaigns": 3}', "should be a list"),
    (b'{"campaigns": [{"id": "3"}]}', r"campaigns\[0\].id should be int, got '3'"),
    (b'{"campaigns": [{"id": true}]}', "should be int, got True"),
]


@pytest.mark.parametrize(("body", "sentence"), STRANGE)
def test_a_strange_answer_is_named_and_never_guessed(
    body: bytes, sentence: str, client: Tiebreak, site: Site
) -> None:
    site.says(answer(200, body))
    with pytest.raises(tb.BadAnswer, match=sentence):
        client.campaigns.all()


def test_what_a_newer_site_adds_is_let_be() -> None:
    values = {"id": "1", "name": "a", "bytes": 3, "sha256": "", "received": 0, "done": False,
              "path": "", "part_bytes": 8, "colour": "red"}  # fmt: skip
    assert decode(Upload, values).name == "a"


def test_a_time_is_a_time(client: Tiebreak) -> None:
    with pytest.raises(tb.BadAnswer, match=r"\.at should be a time|has no"):
        decode(Campaign, {"created_at": "soon"})


def test_a_site_that_sends_on_is_not_followed_with_the_token(client: Tiebreak, site: Site) -> None:
    site.says(answer(301, b"", Location="https://elsewhere.example/"))
    with pytest.raises(tb.BadAnswer, match=r"sends on to https://elsewhere\.example/"):
        client.campaigns.all()
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    "url", ["", "tiebreak.example", "ftp://x", "http://tiebreak.example", "https://a:b@host/"]
)
def test_a_token_leaves_this_machine_only_over_https(url: str, monkeypatch: Any) -> None:
    monkeypatch.delenv("TIEBREAK_URL", raising=False)
    with pytest.raises(tb.TiebreakError):
        Tiebreak(url, TOKEN)


@pytest.mark.parametrize("token", ["", " ", "tb_x\ninjected: yes", "tb_é"])
def test_a_token_that_is_none_is_said(token: str, monkeypatch: Any) -> None:
    monkeypatch.delenv("TIEBREAK_TOKEN", raising=False)
    with pytest.raises(tb.TiebreakError):
        Tiebreak("https://tiebreak.example", token)


def test_the_token_goes_in_the_header_whatever_netrc_says(
    site: Site, monkeypatch: Any, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login root password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    site.says(answer(200, CAMPAIGNS))
    with Tiebreak(site.url, TOKEN) as client:
        client.campaigns.all()
        assert TOKEN not in repr(client) + repr(vars(client))
    assert site.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_an_entry_that_no_door_takes_is_not_sent(client: Tiebreak, site: Site) -> None:
    with pytest.raises(TypeError, match="takes no entry 'colour'"):
        client.campaigns.create("n", colour="red")
    assert site.asked == []


# Downloads.

DATA = bytes(range(256)) * 40


def artifact(data: bytes = DATA, name: str = "a/b.bin") -> bytes:
    file = {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return json.dumps(
        {"id": 5, "kind": "export", "run": 1, "name": "", "sha256": "", "bytes": len(data),
         "created_at": "2026-11-22T12:00:00+00:00", "meta": {}, "files": [file]}
    ).encode()  # fmt: skip


def ranged(limit: int) -> Callable[[Any], None]:
    """From the byte that is asked for on; hangs up after so many."""

    def give(handler: Any) -> None:
        first = int((handler.headers["Range"] or "bytes=0-")[6:-1])
        cut(DATA[first:], limit, 206 if first else 200)(handler)

    return give


def test_a_download_that_is_cut_goes_on_where_it_was(
    client: Tiebreak, site: Site, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tiebreak_client.files._CHUNK", 250)
    monkeypatch.setattr("tiebreak_client.files.time.sleep", lambda _seconds: None)
    site.says(answer(200, artifact()), ranged(1000), ranged(600), ranged(len(DATA)))
    (path,) = client.artifacts.download(5, tmp_path)
    assert path.read_bytes() == DATA
    starts = [each.headers.get("Range") for each in site.asked[1:]]
    assert starts == [None, "bytes=1000-", "bytes=1500-"]
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["b.bin"]


@pytest.mark.parametrize("seed", range(3))
def test_a_download_that_is_killed_anywhere_goes_on_in_the_next_program(
    seed: int, client: Tiebreak, site: Site, tmp_path: Path, monkeypatch: Any
) -> None:
    """Whatever a killed one has left of the part, the next one ends with the right bytes."""
    monkeypatch.setattr("tiebreak_client.files._CHUNK", 250)
    chance = random.Random(seed)
    name = f".b.bin.{hashlib.sha256(DATA).hexdigest()[:16]}.part"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).write_bytes(DATA[: chance.randrange(len(DATA) + 1)])
    site.says(answer(200, artifact()), ranged(len(DATA)))
    (path,) = client.artifacts.download(5, tmp_path)
    assert path.read_bytes() == DATA
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["b.bin"]


def test_a_file_that_changed_meanwhile_is_begun_again(
    client: Tiebreak, site: Site, tmp_path: Path
) -> None:
    site.says(answer(200, artifact()), cut(DATA, 1000), answer(200, DATA))
    (path,) = client.artifacts.download(5, tmp_path)
    assert path.read_bytes() == DATA


def test_a_file_that_is_there_is_not_asked_for(
    client: Tiebreak, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.bin").write_bytes(DATA)
    site.says(answer(200, artifact()))
    client.artifacts.download(5, tmp_path)
    assert len(site.asked) == 1


@pytest.mark.parametrize("wrong", [DATA[:-1] + b"x", DATA + b"x"])
def test_what_arrives_damaged_is_not_kept(
    wrong: bytes, client: Tiebreak, site: Site, tmp_path: Path
) -> None:
    site.says(answer(200, artifact()), answer(200, wrong))
    with pytest.raises(tb.DamagedFile):
        client.artifacts.download(5, tmp_path)
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_a_site_that_breaks_off_for_ever_is_given_up_and_leaves_no_file_under_its_name(
    client: Tiebreak, site: Site, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tiebreak_client.files.time.sleep", lambda _seconds: None)
    site.says(answer(200, artifact()), cut(DATA, 0))
    with pytest.raises(tb.NoAnswer):
        client.artifacts.download(5, tmp_path)
    assert not (tmp_path / "a" / "b.bin").exists()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\\b", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    name: str, client: Tiebreak, site: Site, tmp_path: Path
) -> None:
    site.says(answer(200, artifact(name=name)), answer(200, DATA))
    with pytest.raises(tb.TiebreakError, match="leads out of the folder"):
        client.artifacts.download(5, tmp_path / "in")
    assert list(tmp_path.iterdir()) == []


def test_votes_that_break_off_are_not_taken_for_all(client: Tiebreak, site: Site) -> None:
    lines = b'{"schema": "votes/1"}\n{"vote": 1}\n{"vo'
    site.says(answer(200, lines))
    rows = []
    with pytest.raises(tb.NoAnswer, match="broke off"):
        rows.extend(client.campaigns.votes(3))
    site.says(cut(lines + b"x" * 100, len(lines)))
    with pytest.raises(tb.NoAnswer):
        list(client.campaigns.votes(3))


def test_an_export_that_breaks_off_leaves_no_file(
    client: Tiebreak, site: Site, tmp_path: Path
) -> None:
    site.says(cut(DATA, 700))
    with pytest.raises(tb.NoAnswer):
        client.campaigns.export(3, tmp_path / "labels.csv")
    assert list(tmp_path.iterdir()) == []


# Uploads.


def upload(received: int, *, done: bool = False) -> bytes:
    return json.dumps(
        {"id": "u", "name": "0.mp4", "bytes": len(DATA), "sha256": "", "received": received,
         "done": done, "path": "uploads/0.mp4", "part_bytes": 4000}
    ).encode()  # fmt: skip


def test_an_upload_whose_part_got_no_answer_asks_how_far_it_is(
    client: Tiebreak, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "0.mp4").write_bytes(DATA)
    out_of_step = answer(409, said("4000 bytes are here.", "out_of_step", received=4000))
    site.says(
        answer(201, upload(0)), hang_up, out_of_step, answer(201, upload(4000)),
        answer(200, upload(8000)), answer(200, upload(len(DATA), done=True)),
    )  # fmt: skip
    assert client.uploads.file(tmp_path / "0.mp4") == "uploads/0.mp4"
    sent = [
        (each.path.rsplit("/", 1)[-1], each.body) for each in site.asked if each.method == "PUT"
    ]
    assert sent[2:] == [("4000", DATA[4000:8000]), ("8000", DATA[8000:])]


def test_an_upload_that_never_gets_further_is_given_up(
    client: Tiebreak, site: Site, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tiebreak_client.uploads.time.sleep", lambda _seconds: None)
    (tmp_path / "0.mp4").write_bytes(DATA)
    begun, busy = answer(201, upload(0)), answer(409, said("Another part is being written."))
    site.says(*[begun, busy] * 20)
    with pytest.raises(tb.Conflict, match="being written"):
        client.uploads.file(tmp_path / "0.mp4")
    assert len(site.asked) < 20


def test_folders_without_anything_to_send_and_files_that_are_not_there_are_said(
    client: Tiebreak, site: Site, tmp_path: Path
) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "0.mp4").write_bytes(b"x")
    (tmp_path / "notes.docx").write_bytes(b"x")
    with pytest.raises(tb.TiebreakError, match="holds no clip, image or table"):
        client.uploads.folder(tmp_path)
    with pytest.raises(tb.TiebreakError, match="There is no folder"):
        client.uploads.folder(tmp_path / "gone")
    with pytest.raises(tb.TiebreakError, match="There is no file"):
        client.uploads.file(tmp_path / "gone.mp4")
    assert site.asked == []


# Waiting.


def run(state: str, *, ended: bool = False, **more: Any) -> bytes:
    values = {
        "id": 7, "name": "r", "kind": "snapshot", "state": state, "words": "", "step": 1,
        "total": 3, "stage": "", "left": "", "took": "", "percent": 33, "ended": ended,
        "priority": 0, "url": "", "config": {}, "summary": {}, "artifacts": [],
    }  # fmt: skip
    return json.dumps({**values, **more}).encode()


def test_a_run_is_waited_for_over_an_outage(
    client: Tiebreak, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run("succeeded", ended=True, step=3, stage="done")
    site.says(answer(200, run("running")), *[answer(503, b"")] * 8, answer(200, done))
    assert client.runs.wait(7, poll=0, progress=True).succeeded
    assert "3/3" in capsys.readouterr().err


def test_a_run_that_failed_is_an_error_with_its_words(client: Tiebreak, site: Site) -> None:
    site.says(answer(200, run("failed", ended=True, words="The disk is full.")))
    with pytest.raises(tb.RunEnded, match="The disk is full") as told:
        client.runs.wait(7)
    assert (told.value.run_id, told.value.state) == (7, "failed")


def test_a_token_that_expires_while_a_run_is_waited_for_is_said_at_once(
    client: Tiebreak, site: Site
) -> None:
    site.says(answer(200, run("running")), answer(401, said("This token is expired.")))
    with pytest.raises(tb.TokenRefused, match="expired"):
        client.runs.wait(7, poll=0)


def test_who_waits_no_longer_is_told_how_far_it_is(client: Tiebreak, site: Site) -> None:
    site.says(answer(200, run("queued", words="Waits for a free worker.")))
    with pytest.raises(TimeoutError, match="still queued: Waits for a free worker"):
        client.runs.wait(7, timeout=0, poll=0.01)


def test_errors_survive_the_way_to_another_process() -> None:
    """multiprocessing rebuilds what a child raises, by the way that a copy takes too."""
    error = copy.copy(tb.NoAnswer("gone"))
    assert str(error) == "gone"
