"""What the frame of the site needs to know of languages."""

from django import template
from django.urls import reverse
from django.utils.translation import get_language

from annotation.languages import is_known, script_digest
from annotation.models import Language

register = template.Library()


@register.simple_tag
def script_texts_url() -> str:
    """The address of the texts of the scripts in the language of this page."""
    language = get_language() or Language.ENGLISH.value
    language = language if is_known(language) else Language.ENGLISH.value
    return reverse("annotation:script-texts", args=[language, script_digest(language)])


@register.simple_tag
def languages() -> list[tuple[str, str]]:
    """Each language under its own name."""
    return [(language.value, language.label) for language in Language]
