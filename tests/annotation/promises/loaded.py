"""The site as it is, loaded before gunicorn forks: the first request is as quick as any."""

from django.urls import get_resolver

from config.wsgi import application

__all__ = ["application"]

assert get_resolver().url_patterns
