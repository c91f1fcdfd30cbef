"""The two forms on the page of VBench: cleaning only."""

from collections.abc import Iterator
from typing import Any, Final

from django import forms
from django.core.files.uploadedfile import UploadedFile

from formats.outcome import OutputKind
from formats.vbench import FLICKERING, I2V, PROTOCOLS, T2V, measurable
from formats.vbench_official import MOST_BYTES, PERCENT, UNIT
from pipelines.models import Artifact
from pipelines.starting import Source

_LATEST: Final = 100
_PROTOCOLS: Final = [(each.key, each.title) for each in PROTOCOLS.values()]


class SeveralFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    widget = SeveralFiles

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        one = super().clean
        return [one(each, initial) for each in (data if isinstance(data, list) else [data])]


def artifacts(kind: OutputKind) -> Iterator[tuple[str, str]]:
    yield "", "– none –"
    for each in Artifact.objects.filter(kind=kind).select_related("run").order_by("-pk")[:_LATEST]:
        yield str(each.pk), f"{each.pk}: {each} (run {each.run_id})"


class ImportForm(forms.Form):
    """Files of results, and what they are of."""

    results = FilesField(label="Result files (*_eval_results.json)")
    protocol = forms.ChoiceField(choices=_PROTOCOLS, label="Benchmark")
    scale = forms.ChoiceField(
        choices=[(UNIT, "0 to 1, as the official tool writes"), (PERCENT, "percent, 0 to 100")],
        label="Scale of the values",
    )
    generator = forms.CharField(max_length=200, required=False, label="What was measured")
    generations = forms.ChoiceField(required=False, label="Its clips, if they are here")
    adapter = forms.ChoiceField(required=False, label="Its adapter")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fields["generations"].choices = list(artifacts(OutputKind.GENERATIONS))  # type: ignore[attr-defined]
        self.fields["adapter"].choices = list(artifacts(OutputKind.ADAPTER))  # type: ignore[attr-defined]

    def clean_results(self) -> list[tuple[str, bytes]]:
        found = []
        for each in self.cleaned_data["results"]:
            if (each.size or 0) > MOST_BYTES:
                raise forms.ValidationError(f"{each.name} has more than {MOST_BYTES} bytes.")
            found.append((each.name or "results.json", each.read()))
        return found

    def inputs(self) -> dict[str, Source]:
        asked = {role: self.cleaned_data[role] for role in ("generations", "adapter")}
        return {role: Artifact.objects.get(pk=pk) for role, pk in asked.items() if pk}


class MeasureForm(forms.Form):
    """Clips that are here, and which dimensions of them."""

    measured = forms.ChoiceField(label="Clips")
    benchmark = forms.ChoiceField(choices=_PROTOCOLS, label="Benchmark")
    dimensions = forms.MultipleChoiceField(
        choices=[
            (key, key.replace("_", " "))
            for key in dict.fromkeys((*measurable(T2V), *measurable(I2V)))
        ],
        widget=forms.CheckboxSelectMultiple,
        initial=[FLICKERING],
        required=False,
    )
    chunks = forms.IntegerField(min_value=1, max_value=256, initial=1, label="Chunks")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fields["measured"].choices = list(artifacts(OutputKind.GENERATIONS))  # type: ignore[attr-defined]

    def config(self) -> dict[str, Any]:
        return {
            "protocol": self.cleaned_data["benchmark"],
            "dimensions": self.cleaned_data["dimensions"],
            "chunks": self.cleaned_data["chunks"],
        }

    def clips(self) -> Artifact:
        return Artifact.objects.get(pk=self.cleaned_data["measured"])
