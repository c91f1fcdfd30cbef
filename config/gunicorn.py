"""How gunicorn serves the site: `gunicorn --config python:config.gunicorn config.wsgi`.

The site is loaded once and then forked, so the workers share the pages of its modules, a worker
that died is back at once, and its first request is as quick as any.
"""

import gc
import os
import shutil
import tempfile
from typing import Any, Final

from formats import logs

workers = int(os.environ.get("WEB_CONCURRENCY", "4"))
threads = 2
preload_app = True
# As behind a proxy, which keeps its connections open: 2 s would cut off slow voters.
keepalive = 30
control_socket_disable = True  # nobody asks it, and a read-only root has no place for it
timeout = 60

# Its own lines are like those of the site (config/settings.py decides alike).
_DEFAULT: Final = logs.JSON if os.environ.get("TIEBREAK_MODE") == "production" else logs.TEXT
os.environ[logs.FORMAT] = os.environ.get(logs.FORMAT) or _DEFAULT
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": "formats.logs.formatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "lines"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "gunicorn.error": {"level": "INFO"},
        "gunicorn.access": {"level": "CRITICAL"},  # config/requests.py has a line for each request
    },
}

# What the processes of this site count together. Named before the site is loaded, because
# prometheus_client decides when it is imported how it counts.
_COUNTS: Final = tempfile.mkdtemp(prefix="tiebreak-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _COUNTS


def on_exit(_server: Any) -> None:
    shutil.rmtree(_COUNTS, ignore_errors=True)


def child_exit(_server: Any, worker: Any) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def when_ready(_server: Any) -> None:
    """What was loaded stays: a collector that walks over it in each worker would copy its pages."""
    gc.collect()
    gc.freeze()
