"""The addresses of what leads do through REST, and of tokens."""

from django.urls import URLPattern, URLResolver, path

from annotation.views import (
    campaigns_api,
    clips_api,
    designs_api,
    dimension_sets_api,
    exports_api,
    imports_api,
    tokens,
)

_CAMPAIGN = "api/campaigns/<int:campaign_id>"

urlpatterns: list[URLPattern | URLResolver] = [
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/<int:token_id>/revoke/", tokens.revoke, name="revoke-token"),
    path("api/tokens", tokens.TokensView.as_view(), name="api-tokens"),
    path("api/tokens/<int:token_id>", tokens.TokenView.as_view(), name="api-token"),
    path("api/campaigns", campaigns_api.CampaignsView.as_view(), name="api-campaigns"),
    path(_CAMPAIGN, campaigns_api.CampaignView.as_view(), name="api-campaign"),
    path(f"{_CAMPAIGN}/open", campaigns_api.OpenView.as_view(), name="api-open"),
    path(f"{_CAMPAIGN}/pause", campaigns_api.PauseView.as_view(), name="api-pause"),
    path(f"{_CAMPAIGN}/close", campaigns_api.CloseView.as_view(), name="api-close"),
    path(f"{_CAMPAIGN}/extend", campaigns_api.ExtendView.as_view(), name="api-extend"),
    path(f"{_CAMPAIGN}/clone", campaigns_api.CloneView.as_view(), name="api-clone"),
    path(f"{_CAMPAIGN}/import", imports_api.ImportView.as_view(), name="api-import"),
    path(f"{_CAMPAIGN}/export", exports_api.ExportView.as_view(), name="api-export"),
    path(f"{_CAMPAIGN}/triplets", clips_api.TripletsView.as_view(), name="api-triplets"),
    path(f"{_CAMPAIGN}/pairs", imports_api.PairsView.as_view(), name="api-pairs"),
    path(f"{_CAMPAIGN}/plan", designs_api.PlanView.as_view(), name="api-plan"),
    path(f"{_CAMPAIGN}/priorities", designs_api.PrioritiesView.as_view(), name="api-priorities"),
    path(f"{_CAMPAIGN}/overlap", designs_api.OverlapView.as_view(), name="api-overlap"),
    path(f"{_CAMPAIGN}/bridge", designs_api.BridgeView.as_view(), name="api-bridge"),
    path("api/videos", clips_api.VideosView.as_view(), name="api-videos"),
    path(
        "api/dimension-sets",
        dimension_sets_api.DimensionSetsView.as_view(),
        name="api-dimension-sets",
    ),
    path(
        "api/dimension-sets/<str:name>",
        dimension_sets_api.DimensionSetView.as_view(),
        name="api-dimension-set",
    ),
]
