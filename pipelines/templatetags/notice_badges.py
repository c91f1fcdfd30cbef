"""How many notices a person has not read, for the frame of the site."""

from django import template
from django.template.context import RequestContext

from annotation.permissions import is_lead, is_ml_engineer
from pipelines.notices import unread

register = template.Library()


@register.simple_tag(takes_context=True)
def unread_notices(context: RequestContext) -> int | None:
    """None for those who see no runs: nothing is asked for them."""
    user = getattr(context.get("request"), "user", None)
    if user is None or not (is_lead(user) or is_ml_engineer(user)):
        return None
    return unread(user)
