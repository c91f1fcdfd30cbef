"""manage.py of the tests, and what MUTANT takes away from it."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[3])

from tests.pipelines.trainers import manage  # noqa: E402

if __name__ == "__main__":
    import django

    manage.os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from tests.pipelines.promises import spoiled  # noqa: F401

    manage.main()
