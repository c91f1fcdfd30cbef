"""What the pages of exports show: the snapshots, what each format loses, the exports there are."""

from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User

from formats.outcome import OutputKind
from pipelines.errors import InvalidRunConfig
from pipelines.exports.losses import Choice, choices
from pipelines.exports.runs import KIND
from pipelines.models import Artifact, Run, RunInput
from pipelines.starting import start_run

_SNAPSHOTS: Final = 100
_LATEST: Final = 50


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An export that was asked for: its run, and what it left once it has ended."""

    run: Run
    snapshot: int | None
    artifact: Artifact | None

    @property
    def format(self) -> str:
        return str(self.run.config.get("format", ""))

    @property
    def left_out(self) -> list[str]:
        """What its format had no place for, in words."""
        counts = self.run.summary.get("left_out", {})
        return [f"{key}: {word} {n}" for key, row in counts.items() for word, n in row.items()]


def snapshots() -> list[Artifact]:
    """Newest first."""
    rows = Artifact.objects.filter(kind=OutputKind.SNAPSHOT).select_related("run")
    return list(rows.order_by("-pk")[:_SNAPSHOTS])


def snapshot_of(named: object) -> Artifact:
    """InvalidRunConfig says which there are."""
    number = int(named) if isinstance(named, str) and named.isdecimal() and len(named) < 19 else 0
    number = named if isinstance(named, int) and not isinstance(named, bool) else number
    found = Artifact.objects.filter(pk=number, kind=OutputKind.SNAPSHOT).first()
    if found is None:
        known = ", ".join(str(each.pk) for each in snapshots()[:5]) or "none"
        raise InvalidRunConfig(f"there is no snapshot {named!r}; there are: {known}")
    return found


def latest() -> list[ExportRow]:
    """The exports of late, in four queries however many they are."""
    runs = list(
        Run.objects.filter(kind=KIND).select_related("created_by").order_by("-pk")[:_LATEST]
    )
    read = RunInput.objects.filter(run__in=runs, role="snapshot", artifact__isnull=False)
    of = dict(read.values_list("run_id", "artifact_id"))
    left = {each.run_id: each for each in Artifact.objects.filter(run__in=runs)}
    return [ExportRow(run, of.get(run.pk), left.get(run.pk)) for run in runs]


def choices_of(snapshot: Artifact | None) -> list[Choice]:
    return [] if snapshot is None else choices(snapshot)


def start(
    snapshot: Artifact, config: dict[str, Any], user: User, *, nonce: str | None = None
) -> Run:
    """The run that writes it; its page says how far it is."""
    name = f"{config.get('format', '')} of snapshot {snapshot.pk}"
    return start_run(
        KIND, config, {"snapshot": snapshot}, user=user, name=name[:200], nonce=nonce or None
    )
