"""What goes through the REST doors, as types: for the doors, and for whoever reads the schema."""

from collections.abc import Mapping
from typing import Any, Final

from rest_framework import serializers

from annotation.access.scopes import Scope
from annotation.designs import First
from annotation.imports.tables import Labels
from annotation.models import (
    CampaignKind,
    CampaignState,
    Showing,
    TripletState,
)
from annotation.statistics.strategies import Strategy


class Serializer(serializers.Serializer):
    """An entry that nobody described is refused, at any depth: never dropped in silence."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            writable = [name for name, field in self.fields.items() if not field.read_only]
            unknown = sorted(set(map(str, data)) - set(writable))
            if unknown:
                known = ", ".join(writable)
                raise serializers.ValidationError(
                    {unknown[0]: f"there is no such entry; there are {known}"}
                )
        return super().to_internal_value(data)


class ErrorAnswer(Serializer):
    error = serializers.CharField(help_text="One sentence for a person.")
    code = serializers.CharField(help_text="One word for a program.")


# Campaigns.


class CampaignOptions(Serializer):
    """What a lead sets; what is left out keeps its value, or gets the usual one."""

    kind = serializers.ChoiceField(CampaignKind.choices, required=False)
    votes_wanted = serializers.IntegerField(required=False)
    extra_votes = serializers.IntegerField(required=False)
    instructions = serializers.CharField(required=False, allow_blank=True)
    watch_gate = serializers.BooleanField(required=False)
    per_video_scores = serializers.BooleanField(required=False)
    showing = serializers.ChoiceField(Showing.choices, required=False)
    qualify = serializers.BooleanField(required=False)
    gold_share = serializers.FloatField(required=False)
    repeat_share = serializers.FloatField(required=False)
    pass_share = serializers.FloatField(required=False)
    keep_share = serializers.FloatField(required=False)
    break_after_minutes = serializers.IntegerField(required=False)
    rest_after_minutes = serializers.IntegerField(required=False)
    daily_hours = serializers.FloatField(required=False)
    hourly_rate = serializers.DecimalField(8, 2, required=False)
    currency = serializers.CharField(required=False)
    consent = serializers.CharField(required=False, allow_blank=True)
    open_to_all = serializers.BooleanField(required=False)


class NewCampaign(CampaignOptions):
    name = serializers.CharField()
    dimension_set = serializers.CharField()


class CampaignChanges(CampaignOptions):
    name = serializers.CharField(required=False)
    dimension_set = serializers.CharField(required=False)


class CloneBody(CampaignOptions):
    name = serializers.CharField()
    dimension_set = serializers.CharField(required=False)
    triplets = serializers.BooleanField(
        default=False, help_text="Whether the pairs are asked about again."
    )


class TripletCount(Serializer):
    total = serializers.IntegerField()
    done = serializers.IntegerField()


class CampaignAnswer(Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.ChoiceField(CampaignState.choices)
    dimension_set = serializers.CharField()
    kind = serializers.ChoiceField(CampaignKind.choices)
    votes_wanted = serializers.IntegerField()
    extra_votes = serializers.IntegerField()
    instructions = serializers.CharField(allow_blank=True)
    watch_gate = serializers.BooleanField()
    per_video_scores = serializers.BooleanField()
    showing = serializers.ChoiceField(Showing.choices)
    qualify = serializers.BooleanField()
    gold_share = serializers.FloatField()
    repeat_share = serializers.FloatField()
    pass_share = serializers.FloatField()
    keep_share = serializers.FloatField()
    break_after_minutes = serializers.IntegerField()
    rest_after_minutes = serializers.IntegerField()
    daily_hours = serializers.FloatField()
    hourly_rate = serializers.CharField()
    currency = serializers.CharField()
    consent = serializers.CharField(allow_blank=True)
    open_to_all = serializers.BooleanField()
    triplets = TripletCount()
    pool = serializers.IntegerField(help_text="Clips that pairs may be made of.")
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()


class CampaignRow(Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.ChoiceField(CampaignState.choices)
    kind = serializers.ChoiceField(CampaignKind.choices, required=False)
    votes_wanted = serializers.IntegerField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    mine = serializers.IntegerField(help_text="Triplets that I have voted on.")


class CampaignList(Serializer):
    campaigns = CampaignRow(many=True)


class ExtendBody(Serializer):
    votes_wanted = serializers.IntegerField(help_text="Votes per triplet from now on.")


class ExtensionAnswer(Serializer):
    triplets = serializers.IntegerField(help_text="Triplets that got further slots.")
    slots = serializers.IntegerField()
    reopened = serializers.IntegerField(help_text="Of those: complete before.")


# Dimension sets.


class DimensionBody(Serializer):
    key = serializers.CharField()
    title = serializers.CharField()
    question = serializers.CharField()
    sees_prompt = serializers.BooleanField(default=True)
    guideline = serializers.ListField(child=serializers.CharField(), default=list)
    group = serializers.CharField(default="", allow_blank=True)
    allow_tie = serializers.BooleanField(default=True)
    min_width = serializers.IntegerField(default=0)


class DimensionSetBody(Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    dimensions = DimensionBody(many=True)


class DimensionSetChanges(Serializer):
    title = serializers.CharField()
    dimensions = DimensionBody(many=True)


class DimensionSetAnswer(DimensionSetBody):
    fixed = serializers.BooleanField(help_text="A campaign asks its questions: it never changes.")


class DimensionSetList(Serializer):
    dimension_sets = DimensionSetAnswer(many=True)


# Imports.


class ImportBody(Serializer):
    file = serializers.FileField(
        required=False,
        help_text="CSV, JSON lines, Parquet, Label Studio JSON; or a zip archive with a table, an"
        " export of a snapshot, or a dataset.",
    )
    clips = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="Folder below MEDIA_ROOT/incoming that the paths start from; or, without a file,"
        " that is imported with its table. An uploaded archive or table can be named, too.",
    )
    labels = serializers.ChoiceField([each.value for each in Labels], default=Labels.AUTO.value)


class ImportAnswer(Serializer):
    campaign = serializers.IntegerField()
    rows = serializers.IntegerField()
    triplets = serializers.IntegerField(help_text="Added.")
    pooled = serializers.IntegerField(help_text="Clips added to the pool.")
    duplicates = serializers.ListField(child=serializers.CharField())
    warnings = serializers.ListField(child=serializers.CharField())


class UploadBody(Serializer):
    name = serializers.CharField(
        max_length=500, help_text="A file name, with folders before it if wanted: batch-1/7.mp4."
    )
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField(max_length=64)


class UploadAnswer(UploadBody):
    id = serializers.UUIDField()
    received = serializers.IntegerField(help_text="Bytes that are here: where to go on.")
    done = serializers.BooleanField()
    path = serializers.CharField(help_text="Below MEDIA_ROOT/incoming, when it is done.")
    part_bytes = serializers.IntegerField(help_text="At most so many bytes in a part.")


class UploadList(Serializer):
    uploads = UploadAnswer(many=True)


class UploadFault(ErrorAnswer):
    received = serializers.IntegerField(required=False)


class RowFault(Serializer):
    file = serializers.CharField(required=False, help_text="Where the table is several files.")
    line = serializers.IntegerField(help_text="Of a Parquet file the row, of tasks the task.")
    error = serializers.CharField()


class ImportFault(ErrorAnswer):
    path = serializers.CharField(required=False)
    line = serializers.IntegerField(required=False)
    faults = RowFault(many=True, required=False)


# Triplets and clips.


class PairBody(Serializer):
    video_a = serializers.UUIDField()
    video_b = serializers.UUIDField(required=False, allow_null=True)


class PairsBody(Serializer):
    pairs = PairBody(many=True)
    priority = serializers.IntegerField(default=0, min_value=-9999, max_value=9999)


class PairsAnswer(Serializer):
    triplets = serializers.ListField(child=serializers.IntegerField())
    added = serializers.IntegerField()


class ConsensusRow(Serializer):
    label = serializers.CharField(allow_null=True)  # type: ignore[assignment]  # DRF has them too
    source = serializers.CharField()  # type: ignore[assignment]
    posterior = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    score_a = serializers.FloatField(allow_null=True)
    score_b = serializers.FloatField(allow_null=True)
    votes = serializers.IntegerField()


class TripletRow(Serializer):
    id = serializers.IntegerField()
    state = serializers.ChoiceField(TripletState.choices)
    need = serializers.IntegerField()
    priority = serializers.IntegerField()
    prompt = serializers.CharField()
    video_a = serializers.UUIDField()
    video_b = serializers.UUIDField(allow_null=True)
    generator_a = serializers.CharField(allow_null=True)
    generator_b = serializers.CharField(allow_null=True)
    consensus = serializers.DictField(child=ConsensusRow())


class VideoRow(Serializer):
    id = serializers.UUIDField()
    prompt = serializers.CharField()
    prompt_id = serializers.IntegerField()
    category = serializers.CharField(allow_blank=True)
    generator = serializers.CharField(allow_null=True)
    seed = serializers.IntegerField(allow_null=True)
    sha256 = serializers.CharField()
    original_path = serializers.CharField(allow_blank=True)
    fps = serializers.FloatField()
    num_frames = serializers.IntegerField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    duration = serializers.FloatField()
    withdrawn = serializers.BooleanField()


class _Page(Serializer):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class TripletPage(_Page):
    results = TripletRow(many=True)


class VideoPage(_Page):
    results = VideoRow(many=True)


# What is asked next.


PLANNED: Final = 20_000  # pairs while a browser or a program waits


class WishBody(Serializer):
    """Which pairs are wished for, however they are chosen."""

    seed = serializers.IntegerField(default=0, min_value=0, max_value=2**31)
    prompts = serializers.ListField(child=serializers.IntegerField(), default=list)
    generators = serializers.ListField(child=serializers.CharField(), default=list)
    category = serializers.CharField(default="", allow_blank=True)
    create = serializers.BooleanField(default=False)  # type: ignore[assignment]  # DRF has one too
    priority = serializers.IntegerField(default=0, min_value=-9999, max_value=9999)


class PlanBody(WishBody):
    strategy = serializers.ChoiceField([each.value for each in Strategy])
    budget = serializers.IntegerField(
        default=None,
        allow_null=True,
        min_value=1,
        max_value=PLANNED,
        help_text="At most so many pairs. More than this: `manage.py plan_pairs`.",
    )


class PlanRow(Serializer):
    pairs = serializers.IntegerField()
    votes = serializers.IntegerField(help_text="That the pairs want.")
    prompts = serializers.IntegerField()
    clips = serializers.IntegerField()
    by_generators = serializers.DictField(child=serializers.IntegerField())
    pairs_per_prompt = serializers.ListField(
        child=serializers.IntegerField(), help_text="Least, most."
    )
    pairs_per_clip = serializers.ListField(child=serializers.IntegerField())


class PlanAnswer(Serializer):
    plan = PlanRow()
    created = serializers.IntegerField()


class PrioritiesBody(Serializer):
    first = serializers.ChoiceField([each.value for each in First])


class MovedAnswer(Serializer):
    moved = serializers.IntegerField(help_text="Triplets that have a new place.")


class OverlapPerson(Serializer):
    annotator = serializers.CharField()
    triplets = serializers.IntegerField()


class OverlapShare(Serializer):
    a = serializers.CharField()
    b = serializers.CharField()
    triplets = serializers.IntegerField()


class OverlapAnswer(Serializer):
    connected = serializers.BooleanField()
    annotators = OverlapPerson(many=True)
    shares = OverlapShare(many=True)
    groups = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="Annotators whom 30 shared triplets tie together; the largest group first.",
    )
    loose = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="What each further group shares with the largest.",
    )
    beginners = serializers.ListField(child=serializers.CharField())
    waiting = serializers.IntegerField(help_text="Slots of a bridge that are not filled yet.")


# Tokens.


class NewToken(Serializer):
    name = serializers.CharField(max_length=100)
    days = serializers.IntegerField(default=90)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(Scope.choices),
        allow_empty=False,
        help_text="What it may be used for, of what your role allows.",
    )
    campaign = serializers.IntegerField(
        allow_null=True, default=None, help_text="The only campaign that it is for."
    )


class TokenRow(Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    campaign = serializers.IntegerField(allow_null=True)
    prefix = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked = serializers.BooleanField()


class TokenList(Serializer):
    tokens = TokenRow(many=True)


class MadeToken(TokenRow):
    token = serializers.CharField(help_text="Shown this once.")
