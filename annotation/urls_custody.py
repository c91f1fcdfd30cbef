"""The addresses of the audit log and of erasure, pages and REST."""

from django.urls import URLPattern, URLResolver, path

from annotation.views import custody, custody_api

urlpatterns: list[URLPattern | URLResolver] = [
    path("audit/", custody.audit_log, name="audit"),
    path("people/erasures/", custody.erasures, name="erasures"),
    path("account/erasure/", custody.own_erasure, name="own-erasure"),
    path("api/audit", custody_api.AuditView.as_view(), name="api-audit"),
    path("api/erasures", custody_api.ErasuresView.as_view(), name="api-erasures"),
    path("api/people/<int:user_id>/erase", custody_api.EraseView.as_view(), name="api-erase"),
]
