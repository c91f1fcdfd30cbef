"""The doors of language: the switch, and the texts of the scripts."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils import translation
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation.trans_real import DjangoTranslation
from django.views.decorators.http import require_POST
from django.views.i18n import JavaScriptCatalog

from annotation import languages
from annotation.accounts import profiles


@login_not_required
@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """Read the pages in another language, here and, for those logged in, everywhere."""
    language = request.POST.get("language", "")
    if languages.is_known(language):
        languages.choose(request, language)
        if isinstance(request.user, User):
            profiles.set_language(request.user, language)
    return HttpResponseRedirect(_back(request))


def _back(request: HttpRequest) -> str:
    """Where the person came from, if that is here."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe else resolve_url(settings.LOGIN_REDIRECT_URL)


@method_decorator(login_not_required, name="dispatch")
class ScriptTexts(JavaScriptCatalog):
    """The catalog of one language as a script; only our texts, not those of the libraries."""

    def get(self, _request: HttpRequest, *, language: str, digest: str) -> HttpResponse:
        if not languages.is_known(language):
            raise Http404
        with translation.override(language):
            self.translation = DjangoTranslation(
                language,
                domain=self.domain,
                localedirs=[str(path) for path in settings.LOCALE_PATHS],
            )
            response: HttpResponse = self.render_to_response(self.get_context_data())
        known = digest == languages.script_digest(language)
        response["Cache-Control"] = "public, max-age=31536000, immutable" if known else "no-cache"
        return response
