"""How gunicorn serves the site: `gunicorn --config python:config.gunicorn config.wsgi`.

The site is loaded once and then forked, so the workers share the pages of its modules, a worker
that died is back at once, and its first request is as quick as any.
"""

import gc
import os
from typing import Any

workers = int(os.environ.get("WEB_CONCURRENCY", "4"))
threads = 2
preload_app = True
# As behind a proxy, which keeps its connections open: 2 s would cut off slow voters.
keepalive = 30
timeout = 60


def when_ready(_server: Any) -> None:
    """What was loaded stays: a collector that walks over it in each worker would copy its pages."""
    gc.collect()
    gc.freeze()
