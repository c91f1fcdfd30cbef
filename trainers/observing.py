"""Who hears of what a trainer logs, beside metrics.jsonl: TensorBoard, and the count of memory."""

import sys
from typing import TYPE_CHECKING

from formats.memory import GPU, Peaks
from formats.run_dir import MetricLine, RunDir

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter


def observe(run_dir: RunDir) -> None:
    run_dir.peaks = Peaks()
    run_dir.peaks.sources[GPU] = _gpu_peak
    run_dir.watchers.append(EventFiles(run_dir))


def _gpu_peak() -> float | None:
    """What torch holds of its GPU at most, in megabytes; None in a process that uses none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return float(torch.cuda.max_memory_reserved()) / 1e6


class EventFiles:
    """Every logged value as a scalar in an event file: `tensorboard --logdir RUN_DIR/tensorboard`.

    The file is begun with the first line: of several processes only the one that logs has one. Of
    an attempt before this one TensorBoard forgets what is logged again.
    """

    def __init__(self, run_dir: RunDir):
        self._folder = run_dir.tensorboard
        self._writer: EventsWriter | None = None

    def __call__(self, line: MetricLine) -> None:
        values = line.values | line.memory
        # Steps that need no torch log a line or two; importing it for them would take longer.
        if not values or "torch" not in sys.modules:
            return
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        if self._writer is None:
            self._writer = self._begun(line)
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        event = Event(wall_time=line.time, step=line.step, summary=Summary(value=scalars))
        self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _begun(self, line: MetricLine) -> "EventsWriter":
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._folder.mkdir(exist_ok=True)
        earlier = len(list(self._folder.iterdir()))
        # Its name has the second of its beginning, and two attempts may share that.
        writer = EventsWriter(str(self._folder / "events"), f".{earlier}")
        if earlier:
            start = SessionLog(status=SessionLog.START)
            writer.write_event(Event(wall_time=line.time, step=line.step, session_log=start))
        return writer
