"""The Celery app with the run kinds of the tests (`celery -A`)."""

import django

django.setup()

from config.celery import app  # noqa: E402
from tests.pipelines.trainers import kinds_for_tests  # noqa: E402

kinds_for_tests.register()
__all__ = ["app"]
