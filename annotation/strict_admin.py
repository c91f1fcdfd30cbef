"""The admin reads its queries strictly: a list filters by what its filters are, and nothing else.

Django lets a query follow relations that a list never named, as long as the field is not forbidden;
two CVEs of an annotation tool were that. Here every list, of ours and of libraries, answers 400 to
a name that none of its filters has (RELIABILITY S3).
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse

# Page, order, search, and what pop-ups and links back carry.
_OWN: Final = frozenset(
    {"q", "o", "p", "all", "e", "_facets", "_popup", "_to_field", "_changelist_filters"}
)
_COMPARED: Final = ("", "__exact", "__id__exact", "__isnull", "__gte", "__lt", "__in")
_DATED: Final = ("__year", "__month", "__day")
_SHAPES: Final = {"o": re.compile(r"-?\d+(\.-?\d+)*"), "p": re.compile(r"\d{1,9}")}


class StrictQuery:
    """Mixed into every ModelAdmin when it is registered."""

    list_filter: Any
    date_hierarchy: Any

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:  # noqa: ARG002
        return lookup in self._listed()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        known = _OWN | self._listed()
        for name, value in request.GET.items():
            shape = _SHAPES.get(name)
            if name not in known or (shape and value and not shape.fullmatch(str(value))):
                raise BadRequest(f"This list has no filter {name[:80]!r} with such a value.")
        answer: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]
        return answer

    def _listed(self) -> frozenset[str]:
        names: set[str] = set()
        for each in self.list_filter:
            names |= _names_of(each)
        if self.date_hierarchy:
            names |= {f"{self.date_hierarchy}{part}" for part in (*_DATED, "__gte", "__lt")}
        return frozenset(names)


def _names_of(listed: Any) -> set[str]:
    field = listed[0] if isinstance(listed, tuple | list) else listed
    if isinstance(field, str):
        return {f"{field}{part}" for part in _COMPARED}
    return {listed.parameter_name}  # a filter class of its own


class StrictAdminSite(admin.AdminSite):
    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        plain = admin_class or admin.ModelAdmin
        strict = type(plain.__name__, (StrictQuery, plain), {"__module__": plain.__module__})
        super().register(model_or_iterable, strict, **options)


class StrictAdminConfig(SimpleAdminConfig):
    """In INSTALLED_APPS for django.contrib.admin. Its pages come with the addresses (config.urls):
    a worker, a command and a run have none, and start without them (`make bench-starts`)."""

    default_site = "annotation.strict_admin.StrictAdminSite"

    def ready(self) -> None:
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(_check_all_pages, checks.Tags.admin)


def _check_all_pages(
    app_configs: Sequence[AppConfig] | None, **options: Any
) -> Sequence[checks.CheckMessage]:
    admin.autodiscover()
    return check_admin_app(app_configs, **options)
