"""`manage.py plan_doubtful_pairs CAMPAIGN --scores ID`: what a reward model is least sure of."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.designs import Wish, create_pairs
from annotation.errors import AnnotationError
from annotation.statistics.strategies import Strategy
from pipelines.disagreement.doubts import propose_from_scores
from pipelines.errors import PipelineError
from pipelines.models import Artifact
from pipelines.snapshots import find_campaign


class Command(BaseCommand):
    help = "Say which pairs a reward model is least sure of, and with --create ask about them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign", help="its name or id")
        parser.add_argument("--scores", type=int, required=True, help="id of a score artifact")
        parser.add_argument("--budget", type=int, required=True, help="at most so many pairs")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--category", default="", help="of the prompts")
        parser.add_argument("--priority", type=int, default=0)
        parser.add_argument(
            "--committee",
            type=int,
            nargs="+",
            default=[],
            metavar="ID",
            help="further score artifacts of the same clips, by other reward models",
        )
        parser.add_argument("--create", action="store_true", help="write them")

    def handle(self, *args: Any, **options: Any) -> None:
        named = options["campaign"]
        wish = Wish(
            Strategy.ACTIVE,
            budget=options["budget"],
            seed=options["seed"],
            category=options["category"],
        )
        try:
            campaign = find_campaign(int(named) if named.isdecimal() else named)
            proposal = propose_from_scores(
                campaign, _scores(options["scores"]), wish, list(map(_scores, options["committee"]))
            )
            for name, value in asdict(proposal.plan).items():
                self.stdout.write(f"{name}: {value}")
            if options["create"]:
                made = create_pairs(campaign, proposal, priority=options["priority"])
                self.stdout.write(f"created: {made}")
        except PipelineError as error:
            raise CommandError(str(error)) from error
        except AnnotationError as error:
            raise CommandError(error.message) from None


def _scores(pk: int) -> Artifact:
    found = Artifact.objects.filter(pk=pk).first()
    if found is None:
        raise PipelineError(f"there is no artifact {pk}")
    return found
