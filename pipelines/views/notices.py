"""The inbox of notices: what has ended, and what a person wants to be told of. Doors only."""

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from pipelines import notices
from pipelines.models import NoticeWish
from pipelines.run_cards import badge_of
from pipelines.views.access import for_viewers, person

_PER_PAGE = 50


class WishForm(forms.ModelForm):
    class Meta:
        model = NoticeWish
        fields = ["ends", "by_mail"]
        labels = {"ends": "Tell me of", "by_mail": "by e-mail too"}


@require_GET
@for_viewers
def inbox(request: HttpRequest) -> HttpResponse:
    """What has ended, newest first."""
    user = person(request)
    page = Paginator(notices.notices_of(user), _PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": [(each, notices.words(each), badge_of(each.state)) for each in page.object_list],
        "form": WishForm(instance=notices.wish_of(user)),
        "sends_mail": settings.TIEBREAK_SENDS_MAIL,
    }
    return render(request, "pipelines/notices.html", context)


@require_POST
@for_viewers
def read(request: HttpRequest) -> HttpResponse:
    """All of them, or the one that `notice` names."""
    chosen = request.POST.get("notice", "")
    one = int(chosen) if chosen.isascii() and chosen.isdecimal() and len(chosen) < 19 else None
    notices.mark_read(person(request), one)
    return redirect("pipelines:notices")


@require_POST
@for_viewers
def choose(request: HttpRequest) -> HttpResponse:
    form = WishForm(request.POST)
    if form.is_valid():
        notices.wish(person(request), **form.cleaned_data)
        messages.success(request, "Kept.")
    else:
        messages.error(request, "Choose one of the four.")
    return redirect("pipelines:notices")
