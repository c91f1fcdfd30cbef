"""The Celery app. A message is only a doorbell: the Run row is the queue (DESIGN 4)."""

import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Celery would check the whole site, load all its pages for that, and look at no answer. A worker
# checks what it needs, and heeds it (pipelines/tasks.py).
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("tiebreak")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["pipelines"])


@setup_logging.connect
def _as_everywhere(**_: Any) -> None:
    """Celery's own lines are like those of the site; without this it would bring a format of its
    own, and lines of a run would have no ids."""
    logging.config.dictConfig(settings.LOGGING)
