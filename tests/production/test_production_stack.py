"""The compose file's processes, natively and with production settings, from log-in to artifact.

PostgreSQL, Redis, nginx, gunicorn, Celery worker and beat are real; S3 is moto's server.
"""

import re
import signal
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import requests

from tests.conftest import PASSWORD
from tests.production.conftest import Person, rows, shell, stranger
from tests.promises import LEVEL, Figures
from tools.stack import Stack

pytestmark = [
    pytest.mark.redis,
    pytest.mark.faults,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("production"),
]
PART = 1 << 20  # `slice` in docker/nginx/site.inc.template
Objects = Callable[..., dict[str, bytes]]


@pytest.mark.promise("S5")
def test_a_visitor_is_sent_to_tls_and_cookies_stay_there(production: Stack) -> None:
    plain = f"http://127.0.0.1:{production.ports['http']}/campaigns/?a=b"
    moved = requests.get(plain, allow_redirects=False, timeout=30)
    assert (moved.status_code, moved.headers["Location"]) == (
        308,
        "https://127.0.0.1/campaigns/?a=b",
    )
    page = stranger(production).get(f"{production.url}/accounts/login/", timeout=30)
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-csrf=")
    assert "Secure" in cookie
    assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert "Server" not in page.headers or page.headers["Server"] == "nginx"


@pytest.mark.promise("S4")
def test_nobody_passes_for_another_address_or_host(production: Stack) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.example",
              "X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}  # fmt: skip
    login = f"{production.url}/accounts/login/"
    session = stranger(production)
    session.headers.update(forged)
    session.get(login, timeout=30)
    fields = {"username": "nobody-of-ours", "password": "wrong",
              "csrfmiddlewaretoken": session.cookies["__Host-csrf"]}  # fmt: skip
    assert session.post(login, fields, timeout=30).status_code == 200
    ((address,),) = rows(
        production,
        "SELECT ip_address FROM axes_accessattempt WHERE username = 'nobody-of-ours'",
    )
    assert str(address) == "127.0.0.1"
    other = stranger(production).get(login, headers={"Host": "evil.example"}, timeout=30)
    assert other.status_code == 400


def test_static_files_come_from_nginx_compressed_and_for_ever(production: Stack) -> None:
    page = stranger(production).get(f"{production.url}/accounts/login/", timeout=30)
    sheets = re.findall(r'href="(/static/css/[^"]+)"', page.text)
    assert sheets
    encoding = {"Accept-Encoding": "gzip"}
    answer = stranger(production).get(production.url + sheets[0], headers=encoding, timeout=30)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert f"GET {sheets[0]}" not in production.said("web")


@pytest.mark.parametrize(
    "path",
    ["/_media/shown/aa/x.mp4", "/_storage/tiebreak/media/x", "/metrics", "/static/../nginx.conf",
     "/static/%2e%2e/data/"],
)  # fmt: skip
def test_what_is_inside_stays_inside(production: Stack, path: str) -> None:
    """Sent as it stands: a client library would tidy the path first."""
    context = ssl.create_default_context(cafile=str(production.certificate))
    with (
        socket.create_connection(("127.0.0.1", production.ports["https"]), 10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        )
        status = int(connection.recv(64).split()[1])
    assert status in {400, 404}


@pytest.mark.promise("M8")
def test_clips_lie_in_the_bucket_and_play_by_ranges_through_nginx(
    production: Stack, campaign: int, alice: Person, objects: Objects
) -> None:
    given = alice.next(campaign)
    shown = objects("media/shown/")
    assert len(shown) == 4
    url = given["left"]["url"]
    whole = alice.get(url)
    assert (whole.status_code, whole.headers["Content-Type"]) == (200, "video/mp4")
    assert whole.content in shown.values()
    size = len(whole.content)
    assert size > PART
    assert whole.headers["Accept-Ranges"] == "bytes"
    for header, status, start, end in (
        ("bytes=0-0", 206, 0, 1), (f"bytes={size // 2}-", 206, size // 2, size),
        ("bytes=-7", 206, size - 7, size), (f"bytes=5-{size * 9}", 206, 5, size),
        # Over the edge of the parts in which nginx keeps it, and a part in the second one alone.
        (f"bytes={PART - 10}-{PART + 9}", 206, PART - 10, PART + 10),
        (f"bytes={PART + 100}-{PART + 199}", 206, PART + 100, PART + 200),
        ("bytes=0-1,4-5", 200, 0, size), ("frames=0-1", 200, 0, size),
    ):  # fmt: skip
        part = alice.get(url, Range=header)
        assert (part.status_code, part.content) == (status, whole.content[start:end]), header
    outside = alice.get(url, Range=f"bytes={size}-")
    assert (outside.status_code, outside.headers["Content-Range"]) == (416, f"bytes */{size}")
    known = alice.get(url, **{"If-None-Match": whole.headers["ETag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert alice.get(url, Range="bytes=0-1", **{"If-Range": '"another"'}).status_code == 200
    assert alice.session.head(production.url + url).headers["Content-Length"] == str(size)


def test_a_clip_says_what_it_would_without_nginx_and_nothing_of_the_bucket(
    production: Stack, campaign: int, alice: Person, objects: Objects
) -> None:
    video = alice.next(campaign)["right"]
    answer = alice.get(video["url"], Range="bytes=2-9")
    wanted = {
        "ETag": f'"{video["id"]}.mp4"',
        "Content-Disposition": f'inline; filename="{video["id"]}.mp4"',
        "Cache-Control": "private, max-age=86400, immutable",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-site",
        "Referrer-Policy": "no-referrer",
    }
    assert {name: answer.headers[name] for name in wanted} == wanted
    said = str(dict(answer.headers)).lower()
    keys = [key.rpartition("/")[2].partition(".")[0] for key in objects("media/shown/")]
    for word in (
        "amz",
        "tiebreak/media",
        "x-accel",
        "last-modified",
        "access-control",
        "werkzeug",
        *keys,
    ):
        assert word not in said


@pytest.mark.promise("M8")
def test_the_second_viewer_costs_the_bucket_nothing(
    production: Stack, campaign: int, alice: Person
) -> None:
    url = alice.next(campaign)["left"]["url"]
    first = alice.get(url).content
    asked = production.said("storage").count("GET /tiebreak/media/shown")
    assert asked > 0
    assert alice.get(url, Range="bytes=100-").content == first[100:]
    assert production.said("storage").count("GET /tiebreak/media/shown") == asked
    assert " HIT" in (production.folder / "nginx" / "access.log").read_text()


@pytest.mark.promise("M8")
def test_a_link_is_nobody_elses(
    production: Stack, campaign: int, alice: Person, mia: Person
) -> None:
    url = alice.next(campaign)["left"]["url"]
    assert mia.get(url).status_code == 403
    nobody = stranger(production).get(production.url + url, allow_redirects=False, timeout=30)
    assert nobody.status_code == 302
    assert alice.get(url[:-1] + ("0" if url[-1] != "0" else "1")).status_code == 403


def test_a_vote_is_kept_and_a_run_of_the_worker_makes_an_artifact_of_it(
    production: Stack, campaign: int, voted: list[tuple[int, str]], mia: Person, objects: Objects
) -> None:
    assert voted == [(200, "counted")] * 2
    before = set(objects("artifacts/"))
    mia.follow(mia.start("snapshot", campaign=campaign))
    made = {key: content for key, content in objects("artifacts/").items() if key not in before}
    assert any(b'"schema": "preferences/' in content for content in made.values())
    assert "pipelines.tasks.ring" in production.said("worker-cpu")


@pytest.mark.promise("J2", "O1")
@pytest.mark.usefixtures("voted")
def test_a_dead_worker_and_a_restarted_redis_lose_nothing(
    production: Stack, campaign: int, mia: Person
) -> None:
    production.stop("worker-cpu", signal.SIGKILL)
    production.stop("redis", signal.SIGKILL)
    assert ready(production)["state"] == "degraded"
    run = mia.start("snapshot", campaign=campaign)
    production.start_redis()
    production.start("worker-cpu")
    mia.follow(run)
    wait_for(lambda: ready(production)["state"] == "good", 60)
    assert production.manage("check_worker").strip() == "1 alive"


@pytest.mark.e2e
def test_a_clip_plays_and_seeks_in_a_browser(
    production: Stack, campaign: int, browser: Any
) -> None:
    """Under the policy of the page, over TLS, by ranges of nginx."""
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(f"{production.url}/accounts/login/")
    page.fill("input[name=username]", "mia")
    page.fill("input[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{production.url}/")
    answers: list[Any] = []
    page.on("response", lambda each: answers.append(each) if "/v/" in each.url else None)
    page.goto(f"{production.url}/campaigns/{campaign}/")
    clip = page.evaluate(
        """async (address) => {
          const video = document.createElement("video");
          video.muted = true;
          video.preload = "auto";
          document.body.append(video);
          await new Promise((done, fail) => {
            video.onerror = () => fail(new Error("the clip does not play"));
            video.oncanplay = done;
            video.src = address;
          });
          video.oncanplay = null;
          const seeked = new Promise((done) => { video.onseeked = done; });
          video.currentTime = 2.0;
          await seeked;
          return {at: video.currentTime, length: video.duration, width: video.videoWidth};
        }""",
        address_for(production, "mia"),
    )
    assert (clip["at"], clip["width"]) == (2.0, 256)
    assert clip["length"] == pytest.approx(3.0, abs=0.1)
    assert {each.status for each in answers} == {206}
    assert {each.headers["server"] for each in answers} == {"nginx"}
    context.close()


def address_for(site: Stack, name: str) -> str:
    """Of a clip, signed for that person."""
    return shell(
        site,
        "from annotation.media.media_urls import signed_url\n"
        "from annotation.models import Video\n"
        "from django.contrib.auth.models import User\n"
        f"print(signed_url(Video.objects.first().pk, User.objects.get(username={name!r})))",
    )


def restore_elsewhere(site: Stack, source: str) -> dict[str, str]:
    """Into a database, a bucket and folders that are all new; what changes in the environment."""
    url = site.environment("web")["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("CREATE DATABASE restored")
    elsewhere = {
        "DATABASE_URL": url.rpartition("/")[0] + "/restored",
        "MEDIA_STORAGE_URL": "s3://restored/media",
        "ARTIFACT_STORE_URL": "s3://restored/artifacts",
        "TIEBREAK_VAR": str(site.folder / "restored"),
        "RUNS_ROOT": str(site.folder / "restored" / "runs"),
        "MEDIA_ROOT": str(site.folder / "restored" / "media"),
        "TIEBREAK_TOMBSTONES": str(site.folder / "restored" / "tombstones.jsonl"),
    }
    site.manage("make_bucket", **elsewhere)
    assert "all as they were" in site.manage("restore", source, **elsewhere)
    return elsewhere


if LEVEL:  # some twenty seconds of processes: not in `make test`, where tests/pipelines restores

    @pytest.mark.promise("D3")
    def test_a_backup_of_database_and_bucket_is_restored_elsewhere(
        production: Stack, campaign: int, objects: Objects, figures: Figures
    ) -> None:
        """With the rights of the site's own role, which is no superuser."""
        target = str(production.folder / "backups")
        production.manage("backup", target)
        assert "can be restored" in production.manage("check_backup", target, "--all-files")
        started = time.monotonic()
        elsewhere = restore_elsewhere(production, target)
        figures("D3", seconds=round(time.monotonic() - started, 1), clips=4)
        assert objects("", "restored") == objects("")
        assert "All is well" in production.manage("check_votes", **elsewhere)


def ready(site: Stack) -> dict[str, Any]:
    answer = stranger(site).get(f"{site.url}/readyz", timeout=30)
    said: dict[str, Any] = answer.json()
    return said


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)
