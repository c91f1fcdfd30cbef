"""From two generation sets to a blind campaign (run kind `retest`): same prompts, same seeds.

Leaves retest.json, which alone says whose clip is whose; `human_tests` counts by it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from annotation.campaigns import named_set
from annotation.errors import CampaignError
from annotation.models import Video
from annotation.retests import BlindPair, BlindWish, open_retest, people_named, refuse_telling
from formats.errors import FormatError
from formats.files import write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord
from formats.supervised import Supervised
from pipelines import trainer_configs
from pipelines.models import Run
from pipelines.retests.matching import Match, by_key, differences, matched
from pipelines.start_images import prompt_row
from pipelines.step_configs import StepConfig, StepConfigError, require, whole

KIND: Final = "retest"
RETEST: Final = "retest/1"
FILE: Final = "outputs/retest.json"
_AT_ONCE: Final = 500  # values in one SQL statement


@dataclass(frozen=True, slots=True)
class RetestConfig(StepConfig):
    """`name`: of the campaign, which annotators read; `base`, `candidate`: for pages and reports.

    `limit`: at most so many pairs, first one of each prompt; 0 for all. `annotators`: user names
    of those who may vote; none means everybody. `allow_differing`: also where the sides differ in
    frame rate, length or size, by which people could tell them apart.
    """

    name: str = ""
    base: str = "base"
    candidate: str = "candidate"
    dimension_set: str = ""
    votes_wanted: int = 2
    extra_votes: int = 1
    limit: int = 0
    instructions: str = ""
    annotators: list[str] = field(default_factory=list)
    allow_differing: bool = False

    def __post_init__(self) -> None:
        for key in ("name", "base", "candidate", "dimension_set"):
            require(bool(getattr(self, key).strip()), key, "a text", getattr(self, key))
        require(self.base != self.candidate, "candidate", "another name than the base", self.base)
        whole("votes_wanted", self.votes_wanted, low=1)
        whole("extra_votes", self.extra_votes, low=0)
        whole("limit", self.limit, low=0)

    def wish(self, made_by: str, hidden: Iterable[str] = ()) -> BlindWish:
        return BlindWish(
            name=self.name,
            dimension_set=self.dimension_set,
            made_by=made_by,
            votes_wanted=self.votes_wanted,
            extra_votes=self.extra_votes,
            instructions=self.instructions,
            annotators=tuple(self.annotators),
            hidden=(self.base, self.candidate, *hidden),
        )


def check(values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config; InvalidRunConfig where the campaign could not be opened."""

    def read(given: Mapping[str, Any]) -> RetestConfig:
        config = RetestConfig.from_json(given)
        try:
            named_set(config.dimension_set)
            refuse_telling(config.wish("check"))
            people_named(config.annotators)
        except CampaignError as error:
            raise StepConfigError(error.message) from error
        return config

    return trainer_configs.checked(read, values)


def perform(run: Supervised) -> Outcome:
    """Match, find the rows, open the campaign, say which is which."""
    config = RetestConfig.from_json(run.dir.config())
    run.dir.log_metrics(0, 3, stage="matching clips")
    sides = [by_key(run.dir.input(side)) for side in ("base", "candidate")]
    matches, unmatched = matched(*sides, limit=config.limit)
    run.check()
    run.dir.log_metrics(1, 3, stage="finding the clips")
    found = _with_rows([each for each in matches if not each.identical])
    asked = [(match, pair) for match, pair in found if pair is not None]
    notes = _checked([pair for _, pair in asked], config)
    run.check()
    run.dir.log_metrics(2, 3, stage="opening the campaign")
    told = _opened(config, asked, int(run.dir.root.name))
    identical = [_told(each) for each in matches if each.identical]
    left_out = {"unmatched": unmatched, "withdrawn": len(found) - len(asked)}
    body = {**told, "identical": identical, "left_out": left_out, "notes": notes}
    sha256 = write_json(run.dir.root / FILE, RETEST, body)
    run.dir.log_metrics(3, 3, stage="open")
    kept = ("campaign", "campaign_name", "base", "candidate")
    summary = {key: body[key] for key in kept} | left_out
    summary |= {"pairs": len(asked), "identical": len(identical)}
    output = Output(OutputKind.RETEST, FILE, sha256, summary)
    message = f"{len(asked)} pairs are asked about in {config.name!r}."
    return Outcome(ExitCode.DONE, message=message, outputs=(output,), summary=summary)


def _checked(pairs: Sequence[BlindPair], config: RetestConfig) -> list[str]:
    """What a reader must know; FormatError where people could not, or should not, be asked."""
    if not pairs:
        raise FormatError("no pair is left to ask about: its clips are the same, or withdrawn")
    notes = differences(pairs)
    if notes and not config.allow_differing:
        raise FormatError(
            f"{notes[0]}, by which people could tell the sides apart; make the clips alike, or"
            " start the re-test with allow_differing"
        )
    return notes


def _opened(
    config: RetestConfig, asked: Sequence[tuple[Match, BlindPair]], run_id: int
) -> dict[str, Any]:
    """Open the campaign; what retest.json says of it."""
    row = Run.objects.select_related("created_by").get(pk=run_id)
    sides = [clip for match, _ in asked for clip in (match.base, match.candidate)]
    wish = config.wish(f"run {run_id}", {clip.video.generator for clip in sides})
    try:
        campaign, opened = open_retest(wish, [pair for _, pair in asked], row.created_by)
    except CampaignError as error:
        raise FormatError(error.message) from error
    kept = ("base", "candidate", "dimension_set", "votes_wanted", "extra_votes")
    return {
        "campaign": campaign.pk,
        "campaign_name": campaign.name,
        **{key: getattr(config, key) for key in kept},
        "pairs": [
            _told(match) | asdict(each) for (match, _), each in zip(asked, opened, strict=True)
        ],
    }


# Rows.


def _with_rows(matches: Sequence[Match]) -> list[tuple[Match, BlindPair | None]]:
    """The clips as people can be shown them; None where one of the two was withdrawn."""
    wanted = {each.video.sha256 for match in matches for each in (match.base, match.candidate)}
    rows = _videos(sorted(wanted))
    return [(match, _pair(match, rows)) for match in matches]


def _videos(sha256s: Sequence[str]) -> dict[tuple[int, str], list[Video]]:
    found: dict[tuple[int, str], list[Video]] = {}
    for start in range(0, len(sha256s), _AT_ONCE):
        rows = Video.objects.filter(sha256__in=sha256s[start : start + _AT_ONCE]).order_by("pk")
        for video in rows.select_related("generator"):
            found.setdefault((video.prompt_id, video.sha256), []).append(video)
    return found


def _pair(match: Match, rows: Mapping[tuple[int, str], list[Video]]) -> BlindPair | None:
    prompt = prompt_row(match.base.prompt, match.base.image)
    base, candidate = (
        _best(rows.get((prompt.pk, clip.video.sha256), []), clip)
        for clip in (match.base, match.candidate)
    )
    gone = base.withdrawn or candidate.withdrawn
    return None if gone else BlindPair(prompt, base, candidate)


def _best(known: Sequence[Video], clip: GenerationRecord) -> Video:
    """The row of this very clip; the same bytes may have come from somebody else as well."""
    if not known:
        raise FormatError(
            f"the clip of {clip.prompt[:60]!r}, seed {clip.video.seed}, is not in the store;"
            " its run has not registered it"
        )

    def fits(video: Video) -> tuple[bool, bool]:
        name = video.generator.name if video.generator else ""
        return name == clip.video.generator, video.seed == clip.video.seed

    return max(known, key=fits)


def _told(match: Match) -> dict[str, Any]:
    return {
        "prompt": match.base.prompt,
        "seed": match.base.video.seed,
        "base_sha256": match.base.video.sha256,
        "candidate_sha256": match.candidate.video.sha256,
    }
