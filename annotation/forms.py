"""Cleaning of what people type; no rules of the trade."""

from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings


class ImportForm(forms.Form):
    campaign = forms.CharField(max_length=200, help_text="Made with the set videoalign if new.")
    file = forms.FileField(help_text="VideoAlign CSV.")
    clips = forms.CharField(
        required=False,
        help_text="Folder below MEDIA_ROOT/incoming on the server that the paths start from.",
    )

    def clean_clips(self) -> Any:
        wanted = (self._root() / self.cleaned_data["clips"]).resolve()
        if not wanted.is_relative_to(self._root()):
            raise forms.ValidationError("The folder must lie below MEDIA_ROOT/incoming.")
        if not wanted.is_dir():
            raise forms.ValidationError(
                f"There is no folder incoming/{self.cleaned_data['clips']} on the server."
            )
        return self.cleaned_data["clips"]

    def folder(self) -> Path:
        """Where the clips are."""
        name: str = self.cleaned_data["clips"]
        return (self._root() / name).resolve()

    @staticmethod
    def _root() -> Path:
        return (Path(settings.MEDIA_ROOT) / "incoming").resolve()
