"""What attempts at a run left for people who look for its faults; what can be done with a chain."""

from django import template

from annotation.permissions import Person, is_ml_engineer
from pipelines import launching, stacks, steering
from pipelines.models import LoopGroup, Run

register = template.Library()


@register.simple_tag
def hangs_of(run: Run) -> list[int]:
    """The fences of the attempts whose stacks are kept, the latest first."""
    return [int(file.stem[7:]) for file in stacks.files_of(launching.run_dir(run))]


@register.simple_tag
def steerable(group: LoopGroup, user: Person) -> dict[str, bool]:
    """Which acts would find a run of this chain now; nothing for people who may not."""
    return steering.steerable(group) if is_ml_engineer(user) else {}
