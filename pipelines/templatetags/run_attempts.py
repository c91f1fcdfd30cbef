"""What attempts at a run left for people who look for its faults."""

from django import template

from pipelines import launching, stacks
from pipelines.models import Run

register = template.Library()


@register.simple_tag
def hangs_of(run: Run) -> list[int]:
    """The fences of the attempts whose stacks are kept, the latest first."""
    return [int(file.stem[7:]) for file in stacks.files_of(launching.run_dir(run))]
