"""The addresses of people and guidelines, pages and REST."""

from django.urls import URLPattern, URLResolver, path

from annotation.views import accounts, guidelines_api, people_api, people_pages

_CAMPAIGN = "api/campaigns/<int:campaign_id>"

urlpatterns: list[URLPattern | URLResolver] = [
    path("invitation/<str:token>/", accounts.join, name="join"),
    path("account/", accounts.account, name="account"),
    path("people/", people_pages.people, name="people"),
    path("campaigns/<int:campaign_id>/people/", people_pages.people, name="campaign-people"),
    path("campaigns/<int:campaign_id>/pay/", people_pages.pay_page, name="pay"),
    path("campaigns/<int:campaign_id>/pay.csv", people_pages.pay_table, name="pay-table"),
    path("campaigns/<int:campaign_id>/guideline/", people_pages.guideline, name="guideline"),
    path("api/profile", people_api.ProfileView.as_view(), name="api-profile"),
    path("api/hours", people_api.HoursView.as_view(), name="api-hours"),
    path("api/invitations", people_api.InvitationsView.as_view(), name="api-invitations"),
    path(
        "api/invitations/<int:invitation_id>/revoke",
        people_api.RevokeView.as_view(),
        name="api-revoke",
    ),
    path("api/people", people_api.AccountsView.as_view(), name="api-people"),
    path(
        "api/people/<int:user_id>/password-link",
        people_api.PasswordLinkView.as_view(),
        name="api-password-link",
    ),
    path("api/people/<int:user_id>/active", people_api.ActiveView.as_view(), name="api-active"),
    path(f"{_CAMPAIGN}/consent", people_api.ConsentView.as_view(), name="api-consent"),
    path(f"{_CAMPAIGN}/members", people_api.MembersView.as_view(), name="api-members"),
    path(f"{_CAMPAIGN}/members/<int:user_id>", people_api.MemberView.as_view(), name="api-member"),
    path(f"{_CAMPAIGN}/pay", people_api.PayView.as_view(), name="api-pay"),
    path(f"{_CAMPAIGN}/pay.csv", people_api.PayTableView.as_view(), name="api-pay-table"),
    path(f"{_CAMPAIGN}/guideline", guidelines_api.GuidelineView.as_view(), name="api-guideline"),
    path(f"{_CAMPAIGN}/guidelines", guidelines_api.GuidelinesView.as_view(), name="api-guidelines"),
    path(
        f"{_CAMPAIGN}/guideline/draft",
        guidelines_api.DraftView.as_view(),
        name="api-guideline-draft",
    ),
    path(
        "api/guidelines/<int:guideline_id>/accept",
        guidelines_api.AcceptView.as_view(),
        name="api-accept",
    ),
]
