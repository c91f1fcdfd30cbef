"""Words for what runs leave."""

from django import template

register = template.Library()


@register.filter
def as_words(kind: str) -> str:
    """`reward_model` as people write it."""
    return kind.replace("_", " ")
