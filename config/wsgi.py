"""Served by gunicorn."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
# Views are read with the urls, at the first request else: once in each worker, and not shared.
assert get_resolver().url_patterns
