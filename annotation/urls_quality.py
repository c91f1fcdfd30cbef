"""The addresses of quality: gold, flags, adjudication, standings; pages and REST."""

from django.urls import URLPattern, URLResolver, path

from annotation.views import quality, quality_pages

_API = "api/campaigns/<int:campaign_id>"
_PAGE = "campaigns/<int:campaign_id>"

urlpatterns: list[URLPattern | URLResolver] = [
    path(f"{_PAGE}/quality/", quality_pages.people, name="quality"),
    path(f"{_PAGE}/quality/gold/", quality_pages.gold_page, name="gold"),
    path(f"{_PAGE}/quality/flags/", quality_pages.flags_page, name="flags"),
    path(f"{_PAGE}/adjudicate/", quality_pages.adjudicate, name="adjudicate"),
    path(f"{_PAGE}/me/", quality_pages.me, name="me"),
    path(
        "api/leases/<uuid:token>/flag", quality.FlagQuestionView.as_view(), name="api-flag-question"
    ),
    path("api/flags/<int:flag_id>/settle", quality.SettleFlagView.as_view(), name="api-settle"),
    path(f"{_API}/scorecard", quality.ScorecardView.as_view(), name="api-scorecard"),
    path(f"{_API}/gold", quality.GoldView.as_view(), name="api-gold"),
    path(f"{_API}/gold/promotable", quality.PromotableView.as_view(), name="api-promotable"),
    path(
        f"{_API}/gold/<int:probe_id>", quality.GoldQuestionView.as_view(), name="api-gold-question"
    ),
    path(f"{_API}/flags", quality.FlagsView.as_view(), name="api-flags"),
    path(f"{_API}/adjudication/next", quality.NextCaseView.as_view(), name="api-next-case"),
    path(f"{_API}/adjudication/<int:triplet_id>", quality.CaseView.as_view(), name="api-case"),
    path(
        f"{_API}/adjudication/<int:triplet_id>/rulings",
        quality.RulingsView.as_view(),
        name="api-rulings",
    ),
    path(f"{_API}/standings", quality.StandingsView.as_view(), name="api-standings"),
    path(f"{_API}/standings/<int:user_id>/resume", quality.ResumeView.as_view(), name="api-resume"),
    path(
        f"{_API}/standings/<int:user_id>/recollection",
        quality.RecollectView.as_view(),
        name="api-recollection",
    ),
]
