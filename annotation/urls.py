from django.urls import URLPattern, URLResolver, path

from annotation.urls_custody import urlpatterns as of_custody
from annotation.urls_dashboards import urlpatterns as of_dashboards
from annotation.urls_lead_api import urlpatterns as of_leads
from annotation.urls_people import urlpatterns as of_people
from annotation.urls_quality import urlpatterns as of_quality
from annotation.urls_uploads import urlpatterns as of_uploads
from annotation.views import api, languages, media, pages, plan_pages

app_name = "annotation"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", pages.home, name="home"),
    path("annotate/<int:campaign_id>/", pages.annotate, name="annotate"),
    path("campaigns/", pages.campaigns, name="campaigns"),
    path("campaigns/<int:campaign_id>/export.csv", pages.export, name="export"),
    path("campaigns/<int:campaign_id>/plan/", plan_pages.plan, name="plan"),
    path("language/", languages.switch, name="language"),
    path(
        "jsi18n/<slug:language>.<slug:digest>.js",
        languages.ScriptTexts.as_view(),
        name="script-texts",
    ),
    path("v/<uuid:video_id>", media.clip, name="clip"),
    path("p/<uuid:video_id>", media.poster, name="poster"),
    path("i/<uuid:image_id>", media.reference_image, name="reference-image"),
    path("api/campaigns/<int:campaign_id>/next", api.NextView.as_view(), name="api-next"),
    path("api/leases/<uuid:token>/renew", api.RenewView.as_view(), name="api-renew"),
    path("api/leases/<uuid:token>/release", api.ReleaseView.as_view(), name="api-release"),
    path("api/leases/<uuid:token>/skip", api.SkipView.as_view(), name="api-skip"),
    path("api/votes", api.VotesView.as_view(), name="api-votes"),
    path("api/votes/mine", api.MyVotesView.as_view(), name="api-my-votes"),
    path("api/votes/<uuid:vote_id>", api.VoteView.as_view(), name="api-vote"),
    *of_custody,
    *of_dashboards,
    *of_leads,
    *of_people,
    *of_quality,
    *of_uploads,
]
