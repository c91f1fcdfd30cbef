"""The site with the run kinds of the tests, and accidents of a start that a header asks for.

Served by gunicorn as `spoiled_site:application`. `X-Accident: rolled-back` breaks a request after
its run was written; `X-Accident: killed` kills the web worker between commit and message.
"""

# ruff: noqa: I001  the site sets Django up, so it comes before the models.

import os
import signal
import threading

from django.db import transaction

from config.wsgi import application as site

from pipelines import doorbell
from pipelines.views import api
from tests.pipelines.promises import spoiled  # noqa: F401
from tests.pipelines.trainers import kinds_for_tests

kinds_for_tests.register()
_now = threading.local()


def application(environ, start_response):
    _now.accident = environ.get("HTTP_X_ACCIDENT", "")
    return site(environ, start_response)


_start_run = api.start_run


def start_run(*given, **named):
    if _now.accident != "rolled-back":
        return _start_run(*given, **named)
    with transaction.atomic():
        _start_run(*given, **named)
        raise RuntimeError("an accident after the run was written")


api.start_run = start_run

_ring = doorbell.ring


def ring(run_id, queue):
    if _now.accident == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return _ring(run_id, queue)


doorbell.ring = ring
