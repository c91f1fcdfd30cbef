"""manage.py with the run kinds of the tests; its Django-bound children start here too."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def main() -> None:
    sys.path[0] = str(ROOT)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django
    from django.conf import settings

    django.setup()
    settings.BASE_DIR = Path(__file__).parent
    from tests.pipelines.trainers import kinds_for_tests

    kinds_for_tests.register()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
