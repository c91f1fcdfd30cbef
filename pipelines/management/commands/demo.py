"""`make run`: the site, a worker, the demo campaign, and the whole loop running on it."""

import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipelines.loops import demo_site
from pipelines.loops.demo_presets import FIRST, WORLDS
from pipelines.models import LoopGroup
from pipelines.processes import Children

_POLL_SECONDS = 2.0


class Command(BaseCommand):
    help = (
        "Bring up the site with its demo campaign, a worker, and the whole loop; Ctrl-C stops it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--preset", default="demo", help="demo or micro")
        parser.add_argument(
            "--world", default=FIRST, choices=WORLDS, help="whose loop runs at once"
        )
        parser.add_argument("--slots", type=int, default=2, help="runs at the same time")
        parser.add_argument("--seed", type=int, default=0, help="another world, other votes")
        parser.add_argument(
            "--until-report", action="store_true", help="stop when the first report is there"
        )

    def handle(self, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("the demo has public passwords and does not start in production")
        _stop_on_signals()
        preset = demo_site.preset(options["preset"], options["seed"], world=options["world"])
        self._prepare()
        port = _free_port_from(options["port"])
        site = f"http://127.0.0.1:{port}"
        children = Children(settings.VAR / "logs", _environment(site))
        try:
            demo_site.prepare(preset)
            self._bring_up(children, port, options["slots"])
            self._greet(site)
            group = demo_site.fill(preset, site, self._say)
            self._say(f"the loop: {site}/loop/{group.pk}/")
            self._watch(children, group if options["until_report"] else None)
        except KeyboardInterrupt:
            self._say("stopping …")
        finally:
            children.stop(grace=15)
        self._say("everything has stopped; `make run` goes on from here")

    def _prepare(self) -> None:
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)

    def _bring_up(self, children: Children, port: int, slots: int) -> None:
        python = sys.executable
        manage = settings.BASE_DIR / "manage.py"
        children.start(
            "web",
            [python, "-m", "gunicorn", "--config", "python:config.gunicorn", "config.wsgi",
             "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "4",
             "--chdir", settings.BASE_DIR, "--no-control-socket"],
        )  # fmt: skip
        children.start("worker", [python, manage, "worker", "--slots", str(slots)])
        _wait_for(f"http://127.0.0.1:{port}/accounts/login/", children)

    def _greet(self, site: str) -> None:
        self._say(f"the site is up: {site}")
        for name, role in demo_site.PEOPLE.items():
            self._say(
                f"  log in as {name!r} ({role.replace('_', ' ')}), password {demo_site.PASSWORD!r}"
            )

    def _watch(self, children: Children, until: LoopGroup | None) -> None:
        """Say each change of a run, and start again what ends by itself."""
        seen: dict[int, str] = {}
        while True:
            for name in children.revive():
                self._say(f"started again, because it had ended: {name}")
            for line in demo_site.changes(seen):
                self._say(line)
            if until is not None and demo_site.has_ended(until):
                return
            time.sleep(_POLL_SECONDS)

    def _say(self, text: str) -> None:
        self.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}")
        self.stdout.flush()


def _stop_on_signals() -> None:
    """SIGTERM ends the demo as Ctrl-C does."""

    def stop(_signum: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _environment(site: str) -> dict[str, str]:
    return {
        "TIEBREAK_DEMO": "1",
        "TIEBREAK_SITE": site,
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }


def _free_port_from(port: int) -> int:
    for candidate in range(port, port + 20):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return candidate
    raise CommandError(f"the ports {port} to {port + 19} are taken; name another: --port")


def _wait_for(url: str, children: Children) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own loopback address
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if ended := children.revive():
                raise CommandError(f"could not start {ended[0]}") from None
            if time.monotonic() > deadline:
                raise CommandError(f"the site does not answer at {url}") from None
            time.sleep(0.1)
