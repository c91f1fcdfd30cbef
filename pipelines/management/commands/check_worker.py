import socket
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pipelines.waiting import live_workers


class Command(BaseCommand):
    help = "Exit code 1 if no worker of this host is alive: the health check of its container."

    def handle(self, *args: Any, **options: Any) -> None:
        host = socket.gethostname()
        # The host of a worker carries its PID namespace: host/namespace.
        mine = [each for each in live_workers() if each.host.partition("/")[0] == host]
        if not mine:
            raise CommandError(f"no worker of {host} has written its heartbeat lately")
        self.stdout.write(f"{len(mine)} alive")
