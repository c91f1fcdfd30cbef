"""The client and the site itself: tokens that end, limits, files that are cut off on their way."""

import hashlib
import random
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import tiebreak_client as tb
from django.utils import timezone
from tiebreak_client import Tiebreak, calls
from tiebreak_client.transport import Transport

from annotation.accounts.tokens import make_token
from annotation.media import uploads
from annotation.models import ApiToken

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_engine]
Make = Callable[..., Tiebreak]


@pytest.fixture
def client_of(live_server: Any) -> Make:
    def make(user: Any, *scopes: str, **more: Any) -> Tiebreak:
        wanted = scopes or ("read:campaigns", "write:campaigns", "write:import", "read:artefact")
        return Tiebreak(live_server.url, make_token(user, "t", scopes=wanted, **more)[1], backoff=0)

    return make


def test_a_token_that_expires_between_two_calls_is_said(client_of: Make, lee: Any) -> None:
    client = client_of(lee)
    assert client.campaigns.all() == []
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(tb.TokenRefused, match="unknown, expired or revoked; make another"):
        client.campaigns.all()


def test_an_upload_whose_token_expires_in_its_middle_goes_on_with_the_next_token(
    client_of: Make, lee: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(uploads, "PART", 1000)
    data = random.Random(1).randbytes(5000)
    (tmp_path / "0.mp4").write_bytes(data)
    client, sent = client_of(lee), []
    send = Transport.send

    def ends_after_two(self: Transport, call: Any, **words: Any) -> Any:
        sent.append(call.method)
        if sent.count("PUT") == 3:
            ApiToken.objects.update(revoked=True)
        return send(self, call, **words)

    monkeypatch.setattr(Transport, "send", ends_after_two)
    with pytest.raises(tb.TokenRefused):
        client.uploads.file(tmp_path / "0.mp4", name="a/0.mp4")
    monkeypatch.setattr(Transport, "send", send)
    again = client_of(lee)
    (unfinished,) = again.uploads.unfinished()
    assert unfinished.received == 2000
    assert again.uploads.file(tmp_path / "0.mp4", name="a/0.mp4") == "uploads/a/0.mp4"
    assert uploads.below_incoming("uploads/a/0.mp4").read_bytes() == data


def test_scopes_roles_and_campaigns_of_tokens_are_told_apart(
    client_of: Make, lee: Any, alice: Any
) -> None:
    with pytest.raises(tb.ScopeMissing, match="without the scope 'write:campaigns'"):
        client_of(lee, "read:campaigns").campaigns.create("n")
    with pytest.raises(tb.NotAllowed) as told:
        client_of(alice, "write:campaigns").campaigns.create("n")
    assert not isinstance(told.value, tb.ScopeMissing)
    with pytest.raises(tb.NotFound):
        client_of(lee).campaigns.get(98765)
    with pytest.raises(tb.Invalid, match="dimension set"):
        client_of(lee).campaigns.create("n", "nothing")
    with pytest.raises(tb.Unreadable, match="votes_wanted"):
        client_of(lee).campaigns.create("n", votes_wanted="many")


def test_the_limit_of_the_site_is_waited_for(
    client_of: Make, lee: Any, settings: Any, monkeypatch: Any
) -> None:
    settings.TIEBREAK_TOKEN_RATE = "3/min"
    waited: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waited.append)
    client = client_of(lee)
    for _ in range(3):
        client.campaigns.all()
    with pytest.raises(tb.TooManyRequests) as told:
        client.campaigns.all()
    assert told.value.status == 429
    assert waited
    assert all(0 < each <= 60 for each in waited)


def test_a_table_comes_alone_with_clips_that_were_sent_before(
    client_of: Make, lee: Any, tmp_path: Path
) -> None:
    from tests.annotation.conftest import write_clip

    for n in range(2):
        write_clip(tmp_path / "clips" / f"{n}.mp4", seed=n)
    (tmp_path / "pairs.csv").write_text("path_A,path_B,prompt\n0.mp4,1.mp4,square\n")
    (tmp_path / "bad.csv").write_text("path_A,path_B,prompt\n0.mp4,9.mp4,square\n")
    client = client_of(lee)
    campaign = client.campaigns.create("n", votes_wanted=1)
    folder = client.uploads.folder(tmp_path / "clips", name="deep/er")
    assert folder == "uploads/deep/er"
    with pytest.raises(tb.Invalid, match=r"bad\.csv") as told:
        client.campaigns.import_file(campaign.id, tmp_path / "bad.csv", clips=folder)
    assert told.value.details["line"] == 2
    report = client.campaigns.import_file(campaign.id, tmp_path / "pairs.csv", clips=folder)
    again = client.campaigns.import_file(campaign.id, tmp_path / "pairs.csv", clips=folder)
    assert (report.triplets, again.triplets, len(again.duplicates)) == (1, 0, 1)
    assert client.campaigns.get(campaign.id).triplets.total == 1


def test_an_archive_goes_in_parts_and_is_imported_from_where_it_lies(
    client_of: Make, lee: Any, tmp_path: Path
) -> None:
    from tests.annotation.conftest import write_clip

    client = client_of(lee)
    campaign = client.campaigns.create("n")
    for round_ in range(2):  # another archive of the same name
        file = tmp_path / "batch.zip"
        with zipfile.ZipFile(file, "w") as archive:
            for n in range(2):
                name = f"{round_}-{n}.mp4"
                archive.write(write_clip(tmp_path / name, seed=10 * round_ + n), name)
            table = f"path_A,path_B,prompt\n{round_}-0.mp4,{round_}-1.mp4,square\n"
            archive.writestr("pairs.csv", table)
        assert client.campaigns.import_file(campaign.id, file).triplets == 1
    with pytest.raises(tb.Invalid, match="below MEDIA_ROOT/incoming"):
        client._transport.send(calls.IMPORT, body={"clips": "../x.zip"}, campaign_id=campaign.id)
    with pytest.raises(tb.Invalid, match=r"there is no folder incoming/gone\.zip"):
        client._transport.send(calls.IMPORT, body={"clips": "gone.zip"}, campaign_id=campaign.id)
    (tmp_path / "false.zip").write_bytes(b"no archive")
    with pytest.raises(tb.Invalid, match=r"the archive false\.zip is refused"):
        client.campaigns.import_file(campaign.id, tmp_path / "false.zip")


def test_a_file_of_several_parts_is_sent_and_comes_back(
    client_of: Make, mia: Any, tmp_path: Path, settings: Any
) -> None:
    """Twenty megabytes up by parts of eight; down again with a break in the middle."""
    from formats.outcome import Outcome, Output, OutputKind
    from pipelines.models import Run
    from tests.pipelines.loop_world import play

    data = random.Random(2).randbytes(20 << 20)
    (tmp_path / "clips.zip").write_bytes(data)
    client = client_of(mia)
    path = client.uploads.file(tmp_path / "clips.zip")
    assert uploads.below_incoming(path).read_bytes() == data

    def leave(_run: Any, folder: Any) -> Outcome:
        (folder.outputs / "large.bin").write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        return Outcome(0, outputs=(Output(OutputKind.SCORES, "outputs/large.bin", sha256),))

    run = Run.objects.create(kind="pretrain", config={}, config_sha="x")
    artifact = play(run, leave).artifacts.get()
    read, breaks = requests.Response.iter_content, []

    def broken(self: requests.Response, size: int = 1, *words: Any) -> Any:
        for n, chunk in enumerate(read(self, size)):
            if n == 100 and not breaks:
                breaks.append(n)
                raise requests.ConnectionError("cut")
            yield chunk

    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(requests.Response, "iter_content", broken)
        (home,) = client.artifacts.download(artifact.pk, tmp_path / "home")
    assert breaks
    assert home.read_bytes() == data
