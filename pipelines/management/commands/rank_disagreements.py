"""`manage.py rank_disagreements CAMPAIGN --scores ID`: where people and a reward model disagree."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from formats.errors import FormatError
from pipelines.command_lines import user_named
from pipelines.disagreement.page import page_of
from pipelines.disagreement.ranking import Agreement, Clash, Filters, compare
from pipelines.disagreement.sending import WAYS, Errand, carry_out, first_triplets, plan
from pipelines.errors import PipelineError
from pipelines.models import Artifact
from pipelines.snapshots import find_campaign
from pipelines.splitting import SPLITS


class Command(BaseCommand):
    help = "Rank pairs by disagreement; with --send say what that would ask, with --create do it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign", help="its name or id")
        parser.add_argument("--scores", type=int, required=True, help="id of a score artifact")
        parser.add_argument("--first", type=int, default=20, help="so many pairs")
        parser.add_argument("--dimension", default="")
        parser.add_argument("--split", default="", choices=("", *SPLITS))
        parser.add_argument("--agreement", default="", choices=("", *map(str, Agreement)))
        parser.add_argument("--clash", default="", choices=("", *map(str, Clash)))
        parser.add_argument("--send", default="", choices=("", *WAYS), help="what becomes of them")
        parser.add_argument("--votes", type=int, help="of each pair; else the campaign's number")
        parser.add_argument("--name", default="", help="of the campaign of a relabelling")
        parser.add_argument("--user", help="the lead who sends them")
        parser.add_argument("--create", action="store_true", help="send them")

    def handle(self, *args: Any, **options: Any) -> None:
        named = options["campaign"]
        words = ("dimension", "split", "agreement", "clash")
        filters = Filters(**{name: options[name] for name in words})
        try:
            campaign = find_campaign(int(named) if named.isdecimal() else named)
            scores = _scores(options["scores"])
            if options["send"]:
                self._send(campaign, scores, filters, options)
                return
            for each in page_of(compare(campaign, scores), filters, 0, options["first"]):
                told = ", ".join(
                    f"{word.dimension} {word.surprise:.2f} {word.clash}" for word in each.words
                )
                self.stdout.write(f"{each.rank}: pair {each.triplet}: {each.surprise:.2f} ({told})")
        except (PipelineError, FormatError) as error:
            raise CommandError(str(error)) from error

    def _send(
        self, campaign: Any, scores: Artifact, filters: Filters, options: dict[str, Any]
    ) -> None:
        votes = options["votes"] if options["votes"] is not None else campaign.votes_wanted
        errand = Errand(
            options["send"],
            first_triplets(campaign, scores, filters, options["first"]),
            votes=votes,
            name=options["name"],
        )
        planned = plan(campaign, scores, errand)
        self.stdout.write(f"pairs: {planned.pairs}\nvotes: {planned.votes}")
        for reason, count in planned.left_out.items():
            self.stdout.write(f"left out: {count} {reason}")
        if planned.short_of_people:
            self.stdout.write(f"short of people: {planned.short_of_people}")
        if options["create"]:
            lead = user_named(options["user"])
            if lead is None:
                raise CommandError("--create needs --user: who sends pairs back is written down")
            done = carry_out(campaign, scores, errand, lead)
            self.stdout.write(f"sent: {done.pairs} to campaign {done.campaign.pk}")


def _scores(pk: int) -> Artifact:
    found = Artifact.objects.select_related("run").filter(pk=pk).first()
    if found is None:
        raise PipelineError(f"there is no artifact {pk}")
    return found
