"""Cleaning of what people type; no rules of the trade."""

from typing import Any

from django import forms

from annotation.campaign_options import OPTIONS, checked
from annotation.campaigns import check_asked, check_kind
from annotation.errors import CampaignError, ImportRefused
from annotation.imports.sources import import_folder
from annotation.imports.tables import Labels
from annotation.models import Campaign, CampaignKind, DimensionSet


class CampaignForm(forms.ModelForm):
    class Meta:
        model = Campaign
        exclude = ("pool",)  # noqa: DJ006  the admin lists the fields; a pool has 100,000 clips

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        try:
            checked({name: values[name] for name in OPTIONS if name in values})
            self._check_asked(values)
        except CampaignError as error:
            self.add_error(None, error.message)
        return values

    def _check_asked(self, values: dict[str, Any]) -> None:
        """What people were asked stays; the row is held until the page is saved, so that no
        triplets come in between."""
        if self.instance.pk is None:
            check_kind(values.get("kind", ""))
            return
        row = Campaign.objects.select_for_update(no_key=True).get(pk=self.instance.pk)
        wanted = {**values}
        if "dimension_set" in values:
            wanted["dimension_set"] = values["dimension_set"].name
        check_asked(row, wanted)


def changed_columns(form: forms.ModelForm) -> list[str]:
    """The columns of the row that the form changes: only these may be saved."""
    columns = {field.name for field in form._meta.model._meta.concrete_fields}
    return [name for name in form.changed_data if name in columns]


class ImportForm(forms.Form):
    campaign = forms.CharField(
        max_length=200,
        help_text="Made if it is not there: a draft, or closed where labels come along.",
    )
    dimension_set = forms.ModelChoiceField(
        DimensionSet.objects.all(),
        required=False,
        to_field_name="name",
        help_text="Of a new campaign; videoalign if none is chosen.",
    )
    kind = forms.ChoiceField(
        choices=CampaignKind.choices, required=False, help_text="Of a new campaign."
    )
    file = forms.FileField(
        required=False,
        help_text="CSV, JSON lines, Parquet, Label Studio JSON; or a zip archive with a table, an"
        " export of a snapshot, or a dataset of Hugging Face.",
    )
    clips = forms.CharField(
        required=False,
        help_text="Folder below MEDIA_ROOT/incoming on the server that the paths start from; or,"
        " without a file, the folder that is imported.",
    )
    labels = forms.ChoiceField(
        choices=[(each.value, each.value) for each in Labels],
        required=False,
        help_text="Needed: refuse a file that brings no labels.",
    )

    def clean_clips(self) -> str:
        wanted: str = self.cleaned_data["clips"]
        try:
            import_folder(wanted)
        except ImportRefused as error:
            raise forms.ValidationError(f"{error.message[0].upper()}{error.message[1:]}.") from None
        return wanted
