"""The Celery app of the tests, and what MUTANT takes away from it (`celery -A`)."""

from tests.pipelines.trainers.celery_app import app  # isort: skip
from tests.pipelines.promises import spoiled

__all__ = ["app", "spoiled"]
