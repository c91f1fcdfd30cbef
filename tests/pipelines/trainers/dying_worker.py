"""manage.py of the tests whose worker is killed at a step of registering, once for each run.

TIEBREAK_TEST_DIE says where: `put` (one file of several is in the store) or `refer` (the rows are
written, the transaction is not committed). A file beside the run says that it has happened.
"""

import os
import runpy
import signal
from pathlib import Path
from typing import Any

MANAGE = Path(__file__).with_name("manage.py")
WHERE = os.environ["TIEBREAK_TEST_DIE"]


def die_once(mark: Path) -> None:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def install() -> None:
    from pipelines import registering
    from pipelines.store import keeping, ledger

    put, refer = keeping._put, ledger.refer

    def dying_put(place: Path, key: str, sha256: str) -> None:
        put(place, key, sha256)
        die_once(place.parents[2] / "died-at-put")

    def dying_refer(files: Any, keys: Any, to: Any) -> None:
        refer(files, keys, to)
        die_once(registering.launching.run_dir(to.run).root / "died-at-refer")

    if WHERE == "put":
        keeping._put = dying_put
    else:
        ledger.refer = dying_refer


def main() -> None:
    import sys

    sys.path[0] = str(MANAGE.parents[3])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    install()
    runpy.run_path(str(MANAGE), run_name="__main__")


if __name__ == "__main__":
    main()
