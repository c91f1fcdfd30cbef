"""metrics.jsonl of a run directory becomes Metric rows and the progress of the Run row."""

import math
from typing import Final

from django.db import connection, transaction

from formats.run_dir import MetricLine, RunDir
from pipelines import lifecycle
from pipelines.models import Run

_BATCH: Final = 1000
_LARGEST: Final = 2**63 - 1
# A resumed run logs the lost tail again: its newer fence wins. A zombie's older one never does.
_UPSERT: Final = """
    INSERT INTO pipelines_metric (run_id, name, step, value, fence) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (run_id, name, step) DO UPDATE SET value = excluded.value, fence = excluded.fence
    WHERE excluded.fence >= pipelines_metric.fence
"""


class Progress:
    """Reads on in metrics.jsonl from where it stopped; begins with what earlier attempts logged."""

    def __init__(self, run: Run, folder: RunDir):
        self._run = run
        self._folder = folder
        self._offset = 0

    def advance(self) -> bool | None:
        """Import what is new. True: there was something; None: the run has another owner by now."""
        lines, offset = self._folder.metrics_from(self._offset)
        lines = [line for line in lines if _is_sound(line)]
        if lines and not self._store(lines):
            return None
        self._offset = offset
        return bool(lines)

    def _store(self, lines: list[MetricLine]) -> bool:
        last = lines[-1]
        with transaction.atomic():
            # First the row with the fence in its WHERE: whoever lost the run writes nothing.
            if not lifecycle.note_progress(
                self._run, step=last.step, total=last.total, stage=_word(last.stage)
            ):
                return False
            rows = [
                (self._run.pk, _word(name), line.step, float(value), self._run.fence)
                for line in lines
                for name, value in (line.values | line.memory).items()
            ]
            with connection.cursor() as cursor:
                for start in range(0, len(rows), _BATCH):
                    cursor.executemany(_UPSERT, rows[start : start + _BATCH])
        return True


def _is_sound(line: MetricLine) -> bool:
    """Whatever program wrote the line, it cannot bring the supervisor down."""
    stage: object = line.stage
    values: object = line.values
    memory: object = line.memory
    return (
        all(type(n) is int and 0 <= n <= _LARGEST for n in (line.step, line.total))
        and isinstance(stage, str)
        and _are_figures(values)
        and _are_figures(memory)
    )


def _are_figures(values: object) -> bool:
    return isinstance(values, dict) and all(_is_finite(value) for value in values.values())


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def _word(text: str) -> str:
    return text.replace("\0", "")[:100]
