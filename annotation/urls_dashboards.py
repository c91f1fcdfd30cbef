"""The addresses of figures, pages and REST."""

from django.urls import URLPattern, URLResolver, path

from annotation.views import dashboard, figures

_PAGE = "campaigns/<int:campaign_id>"
_API = "api/campaigns/<int:campaign_id>"

urlpatterns: list[URLPattern | URLResolver] = [
    path(f"{_PAGE}/", dashboard.dashboard, name="dashboard"),
    *(
        path(f"{_PAGE}/{page}/", dashboard.figures_page, {"page": page}, name=f"figures-{page}")
        for page in dashboard.PAGES
        if page != "dashboard"
    ),
    path(f"{_PAGE}/panels/<slug:name>/", dashboard.panel, name="panel"),
    path(f"{_API}/progress", figures.ProgressView.as_view(), name="api-progress"),
    path(f"{_API}/agreement", figures.AgreementView.as_view(), name="api-agreement"),
    path(f"{_API}/figures", figures.PanelsView.as_view(), name="api-panels"),
    path(f"{_API}/figures/<slug:panel>", figures.PanelView.as_view(), name="api-panel"),
    path(f"{_API}/figures/<slug:panel>.csv", figures.TableView.as_view(), name="api-panel-table"),
]
