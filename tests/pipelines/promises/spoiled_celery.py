"""The Celery app of the tests, and what MUTANT takes away from it (`celery -A`).

VISIBILITY: seconds until Redis gives a message that nobody acknowledged to another worker.
"""

import os

from tests.pipelines.trainers.celery_app import app  # isort: skip
from tests.pipelines.promises import spoiled

if os.environ.get("VISIBILITY"):
    app.conf.broker_transport_options = {"visibility_timeout": float(os.environ["VISIBILITY"])}

__all__ = ["app", "spoiled"]
