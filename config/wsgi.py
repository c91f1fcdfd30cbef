"""Served by gunicorn."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
# Views are read with the urls; at the first request it would be once in each worker, unshared.
get_resolver().url_patterns  # noqa: B018 - reading it loads them
