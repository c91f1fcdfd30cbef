"""The admin of annotation: campaigns can be edited, votes and what follows are records."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse

from annotation import admin_people  # noqa: F401  registers itself
from annotation.campaigns import close_campaign, open_campaign, pause_campaign
from annotation.cloning import clone_campaign, free_name
from annotation.errors import AnnotationError
from annotation.extending import extend_votes
from annotation.forms import CampaignForm, ImportForm, changed_columns
from annotation.imports.faults import further_faults
from annotation.imports.reading_in import Target, import_given
from annotation.imports.tables import Labels
from annotation.models import (
    AuditEntry,
    Campaign,
    Consensus,
    Dimension,
    DimensionSet,
    Generator,
    Judgement,
    Outbox,
    Prompt,
    Skip,
    Slot,
    Triplet,
    Video,
    Vote,
)
from annotation.overlap import bridge


class Record(admin.ModelAdmin):
    """A table that the application writes and people only read."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DimensionInline(admin.StackedInline):
    model = Dimension
    extra = 0

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _unused(obj) and super().has_change_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _unused(obj) and super().has_add_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _unused(obj) and super().has_delete_permission(request, obj)


def _unused(dimension_set: DimensionSet | None) -> bool:
    """Whether no campaign asks these questions yet: what was asked must stay what was asked."""
    return dimension_set is None or not dimension_set.campaign_set.exists()


@admin.register(DimensionSet)
class DimensionSetAdmin(admin.ModelAdmin):
    list_display = ["name", "title"]
    inlines = [DimensionInline]


@admin.register(Campaign)
class CampaignAdmin(admin.ModelAdmin):
    form = CampaignForm
    list_display = ["name", "state", "dimension_set", "triplets_done", "triplets_total"]
    list_filter = ["state", "dimension_set"]
    list_select_related = ["dimension_set"]
    search_fields = ["name"]
    filter_horizontal = ["members"]
    readonly_fields = ["state", "triplets_done", "triplets_total", "created_by", "created_at"]
    actions = ["open", "pause", "close", "one_more_vote", "clone", "tie_together"]
    change_list_template = "admin/annotation/campaign/change_list.html"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # What was asked of annotators, and how often, is part of the data.
        asked = ["dimension_set", "votes_wanted"] if obj and obj.triplets_total else []
        return [*self.readonly_fields, *asked]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is not None and obj.triplets_total == 0 and request.user.is_superuser

    def save_model(self, request: HttpRequest, obj: Campaign, form: Any, change: bool) -> None:  # noqa: FBT001
        if change:
            # The rest of the row, as it was read, may be out of date: counters, state, guideline.
            obj.save(update_fields=changed_columns(form))
            return
        obj.created_by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)

    @admin.action(description="Open: annotators may vote", permissions=["change"])
    def open(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        self._each(request, queryset, open_campaign, "open")

    @admin.action(description="Pause: no new pairs", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        self._each(request, queryset, pause_campaign, "paused")

    @admin.action(description="Close", permissions=["change"])
    def close(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        self._each(request, queryset, close_campaign, "closed")

    @admin.action(description="Ask for one more vote per triplet", permissions=["change"])
    def one_more_vote(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        def extend(campaign: Campaign) -> None:
            extend_votes(campaign, campaign.votes_wanted + 1)

        self._each(request, queryset, extend, "extended")

    @admin.action(description="Clone as a draft, with the pairs", permissions=["add"])
    def clone(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        user = request.user
        assert isinstance(user, User)  # the admin site asked for a log-in

        def copy(campaign: Campaign) -> None:
            clone_campaign(campaign, free_name(campaign.name), user, triplets=True)

        self._each(request, queryset, copy, "cloned")

    @admin.action(description="Tie annotators together by shared pairs", permissions=["change"])
    def tie_together(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        self._each(request, queryset, bridge, "tied together")

    def _each(
        self, request: HttpRequest, queryset: QuerySet[Campaign], move: Any, word: str
    ) -> None:
        for campaign in queryset:
            try:
                move(campaign)
            except AnnotationError as error:
                self.message_user(request, error.message, messages.ERROR)
            else:
                self.message_user(request, f"{campaign.name} is {word}.", messages.SUCCESS)

    def get_urls(self) -> list[URLPattern]:
        upload = path(
            "import/",
            self.admin_site.admin_view(self.import_view),
            name="annotation_campaign_import",
        )
        return [upload, *super().get_urls()]

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Upload a table or an archive, or name a folder on the server."""
        if not self.has_add_permission(request):
            return self._refuse(request)
        form = ImportForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            try:
                return self._imported(request, form)
            except AnnotationError as error:
                _show(form, error)
        context = {**self.admin_site.each_context(request), "form": form, "opts": self.opts}
        return render(request, "admin/annotation/campaign/import.html", context)

    def _imported(self, request: HttpRequest, form: ImportForm) -> HttpResponse:
        given = form.cleaned_data
        kind = {"kind": given["kind"]} if given["kind"] else {}
        chosen = given["dimension_set"]
        target = Target(given["campaign"], chosen.name if chosen else "videoalign", kind)
        user = request.user
        assert isinstance(user, User)  # the admin site asked for a log-in
        labels = Labels(given["labels"] or Labels.AUTO)
        report = import_given(given["file"], given["clips"], target, user, labels)
        for line in report.lines():
            level = messages.WARNING if line.startswith("warning") else messages.SUCCESS
            self.message_user(request, line, level)
        return HttpResponseRedirect(reverse("admin:annotation_campaign_changelist"))

    def _refuse(self, request: HttpRequest) -> HttpResponse:
        self.message_user(request, "You may not import campaigns.", messages.ERROR)
        return HttpResponseRedirect(reverse("admin:index"))


def _show(form: ImportForm, error: AnnotationError) -> None:
    """Each fault of a file with its line; whatever else is wrong as one sentence."""
    form.add_error("file", error.message)
    for each in further_faults(error):
        form.add_error("file", each)


class JudgementInline(admin.TabularInline):
    model = Judgement
    extra = 0
    can_delete = False


@admin.register(Vote)
class VoteAdmin(Record):
    list_display = ["id", "annotator", "triplet", "state", "revision", "submitted_at"]
    list_filter = ["state", "triplet__campaign"]
    list_select_related = ["annotator", "triplet"]
    show_full_result_count = False
    inlines = [JudgementInline]


@admin.register(Consensus)
class ConsensusAdmin(Record):
    list_display = ["triplet", "dimension", "label", "source", "votes", "posterior"]
    list_filter = ["source", "label", "triplet__campaign"]
    list_select_related = ["triplet", "dimension"]
    show_full_result_count = False


@admin.register(Triplet)
class TripletAdmin(Record):
    list_display = ["id", "campaign", "prompt", "state", "need", "priority"]
    list_filter = ["state", "campaign"]
    list_select_related = ["campaign", "prompt"]
    show_full_result_count = False


@admin.register(Video)
class VideoAdmin(Record):
    list_display = ["id", "prompt", "generator", "fps", "num_frames", "width", "height"]
    list_filter = ["generator"]
    list_select_related = ["prompt", "generator"]
    show_full_result_count = False


@admin.register(Slot)
class SlotAdmin(Record):
    list_display = ["triplet", "n", "state", "holder", "lease_expires"]
    list_filter = ["state", "campaign"]
    list_select_related = ["triplet", "holder"]
    show_full_result_count = False


@admin.register(Skip)
class SkipAdmin(Record):
    list_display = ["triplet", "annotator", "reason", "created_at"]
    list_select_related = ["triplet", "annotator"]


@admin.register(Prompt)
class PromptAdmin(Record):
    list_display = ["id", "text"]
    search_fields = ["text"]


@admin.register(Outbox)
class OutboxAdmin(Record):
    list_display = ["id", "kind", "ref", "created_at"]
    list_filter = ["kind"]


@admin.register(AuditEntry)
class AuditEntryAdmin(Record):
    list_display = ["at", "person", "act", "target", "via", "address"]
    list_filter = ["act"]
    list_select_related = ["person"]
    show_full_result_count = False


@admin.register(Generator)
class GeneratorAdmin(Record):
    list_display = ["name"]
