"""Whether the process of this container works: `python docker/healthy.py web|beat`.

Exit code 1 if it does not. Standard library only: it runs every few seconds.
"""

import http.client
import os
import sys
import time
from pathlib import Path

PORT = int(os.environ.get("TIEBREAK_HEALTH_PORT", "8000"))
SCHEDULE = Path(os.environ.get("TIEBREAK_HEALTH_SCHEDULE", "/tmp/beat"))  # noqa: S108 - beat's own
# Beat writes its schedule every three minutes.
STALE_SECONDS = 10 * 60


def web() -> str:
    """Empty if the site answers; the name and the scheme are those of a visitor."""
    host = os.environ.get("ALLOWED_HOSTS", "").partition(",")[0].lstrip(".") or "localhost"
    headers = {"Host": host, "X-Forwarded-Proto": "https"}
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=8)
    try:
        connection.request("GET", "/healthz", headers=headers)
        status = connection.getresponse().status
    except OSError as error:
        return f"the site does not answer: {error}"
    finally:
        connection.close()
    return "" if status == http.HTTPStatus.OK else f"the site answers with {status}"


def beat() -> str:
    """Empty if the scheduler has written its schedule lately."""
    files = list(SCHEDULE.parent.glob(f"{SCHEDULE.name}*"))
    newest = max((file.stat().st_mtime for file in files), default=0.0)
    age = time.time() - newest
    return "" if age < STALE_SECONDS else f"beat has written no schedule for {age:.0f} s"


if __name__ == "__main__":
    fault = {"web": web, "beat": beat}[sys.argv[1]]()
    if fault:
        sys.exit(fault)
