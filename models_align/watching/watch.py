"""The eye on a run: it looks at held-out prompts, keeps the series, and raises alarms.

How a training loop uses it:

    watch = Watch.of(run, generator, config, world=world, step=step)  # step: of the checkpoint
    watch.look(step, save) if watch.due(step)       # before the first step: the base
    save() if config.stop_on and not step           # a checkpoint from before any alarm
    for each step until watch.stopped:
        watch.fed(step, values)                     # with each log
        watch.look(step, save) if watch.due(step)
    load watch.good_checkpoint() if watch.stopped, and then commit the adapter

Each checkpoint is saved with `protect=watch.protected()`; the outcome has `watch.outputs()` and
`watch.summary()` too.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from formats.checkpoints import Checkpoint
from formats.files import write_json
from formats.outcome import Output
from formats.supervised import Supervised
from models_align.adapters import without_adapter
from models_align.config import AlignmentConfig
from models_align.generators.base import Generator
from models_align.spreading import take_apart
from models_align.watching.judging import JUDGE, REWARD
from models_align.watching.keeping import newest_until, worth_keeping
from models_align.watching.leaving import generation_set
from models_align.watching.looking import Eye
from models_align.watching.looks import FOLDER, Look, forget_looks_behind, mean, read_looks
from models_align.watching.series import Alarm, Series
from models_align.watching.settings import ALARMS
from models_align.watching.untouched import untouched
from trainers.world import ALONE, World

SCHEMA: Final = "alarms/1"
FILE: Final = "alarms.json"
STAGE: Final = "watching"
TRAINING: Final = "training"  # the stage of the logs that alarms read


class Verdict(NamedTuple):
    """The alarms that a log has raised; `stop` names the one that ends the run, or is empty."""

    alarms: tuple[Alarm, ...] = ()
    stop: str = ""


class Watch:
    """One run under watch. Where several processes share a run, each has one and calls it alike."""

    def __init__(
        self,
        run: Supervised,
        generator: Generator,
        config: AlignmentConfig,
        *,
        world: World = ALONE,
        eye: Eye | None = None,
    ):
        self.run = run
        self.generator = generator
        self.config = config
        self.world = world
        self.series = Series(config)
        self.stopped: Alarm | None = None
        self._eye = eye
        self._watches = run.dir.has_input("watch_prompts")
        self._looked: set[int] = set()
        self._folder = run.dir.outputs / FOLDER

    @classmethod
    def of(
        cls,
        run: Supervised,
        generator: Generator,
        config: AlignmentConfig,
        *,
        world: World = ALONE,
        step: int = 0,
    ) -> Self:
        """The watch behind `step`: what was seen up to there is known. The adapter must be on."""
        eye = None
        # Sliced weights can only be used by all processes together.
        if run.dir.has_input("watch_prompts") and (world.leads or config.sharding == "fsdp"):
            with untouched(generator):
                eye = Eye.of(run, generator, config, judges=world.leads)
        watch = cls(run, generator, config, world=world, eye=eye)
        watch._remember(step)
        return watch

    # Looking.

    @property
    def every(self) -> int:
        return self.config.watch.every or max(1, self.config.steps // 10)

    def due(self, step: int) -> bool:
        """Whether this step is to be looked at: the base, every so often, and the last one."""
        if not self._watches or step in self._looked:
            return False
        return step % self.every == 0 or step == self.config.steps

    def look(self, step: int, save: Callable[[], None] | None = None) -> dict[str, float]:
        """Look at the held-out prompts as the generator is now; log and give what is seen.

        A run that must stop leaves between two batches of clips, and looks again when it goes on.
        """
        if step and 0 not in self._looked:
            self._look(0, save)  # the look at the base is gone with the files of the run
        look = self._look(step, save)
        values = {} if look is None else readings_of(look)
        if self.world.leads:
            self.run.dir.log_metrics(step, self.config.steps, values, stage=STAGE)
        self.fed(step, {})
        return values

    def _look(self, step: int, save: Callable[[], None] | None) -> Look | None:
        self._looked.add(step)
        if self._eye is None:
            return None
        alone = self.world.size == 1

        def check() -> None:
            if alone:  # several processes agree at the next step
                self.run.check(save)

        base = without_adapter(self.generator) if step == 0 else nullcontext()
        with untouched(self.generator), base:
            look = self._eye.look(step, check, keeps=self.world.leads)
        if not alone and self.config.sharding == "fsdp":
            take_apart(self.generator.networks)
        if look is not None:
            self.series.saw(look)
        return look

    # Alarms.

    def fed(self, step: int, values: Mapping[str, float]) -> Verdict:
        """Take the readings of a log; say which alarms they and the looks so far raise."""
        raised = self.series.read(step, values)
        for each in raised if self.world.leads else ():
            print(f"alarm: {each.words}", flush=True)
        self._judge(raised)
        if raised and self.world.leads:
            self._write_alarms()
        return Verdict(raised, self.stopped.name if self.stopped else "")

    def _judge(self, raised: Sequence[Alarm]) -> None:
        """Whether the run ends here. The first process decides: it alone has seen the clips."""
        found = next((each for each in raised if each.name in self.config.stop_on), None)
        if self.config.stop_on and self.world.size > 1:
            found = self._agreed(found if self.world.leads else None)
        self.stopped = self.stopped or found

    def _agreed(self, found: Alarm | None) -> Alarm | None:
        number = self.world.most(0 if found is None else 1 + ALARMS.index(found.name))
        step = self.world.most(found.step if found else 0)
        good = self.world.most(found.good if found else 0)
        if not number:
            return None
        return found or Alarm(ALARMS[number - 1], step, good, "", "")

    def good_checkpoint(self) -> Checkpoint:
        """The newest whole checkpoint from before the alarm that ended the run."""
        assert self.stopped is not None
        return newest_until(self.run.dir.checkpoints, self.stopped.good)

    @property
    def last_good(self) -> int:
        """The step of that checkpoint: the result of the run is what it was then."""
        return self.good_checkpoint().step

    def protected(self) -> list[Path]:
        """The checkpoints that an alarm of `stop_on` would go back to, were it raised next."""
        findings = self.series.findings()
        steps = [findings[name].good for name in self.config.stop_on]
        return worth_keeping(
            self.run.dir.checkpoints, [self.stopped.good] if self.stopped else steps
        )

    def metric(self, step: int) -> float | None:
        """What the look at this step says of the weights, the lower the better; None without one.

        The word of the independent judge goes before that of the reward model.
        """
        score = self.series.score_at(step)
        return None if score is None else -score

    # What is left.

    def outputs(self) -> tuple[Output, ...]:
        """All watched clips as a generation set, if there are any."""
        name = self.config.name or self.config.method
        found = generation_set(self._folder, f"{name} (run {self.run.dir.root.name})")
        return () if found is None else (found,)

    def end(self) -> dict[str, Any]:
        """Which alarm ended the run; nothing where none has."""
        return {"stopped_by": self.stopped.name} if self.stopped else {}

    def summary(self) -> dict[str, Any]:
        """Alarms with their advice, and the last look against the base."""
        alarms = [each.words for each in self.series.alarms.values()]
        return ({"alarms": alarms} if alarms else {}) | self.series.summary()

    def _write_alarms(self) -> None:
        rows = [
            {**each.to_json(), "stopped": each is self.stopped}
            for each in self.series.alarms.values()
        ]
        write_json(self.run.dir.root / FILE, SCHEMA, {"alarms": rows})

    def _remember(self, step: int) -> None:
        """Replay what was logged and seen up to a checkpoint; what came after it comes again."""
        if self.world.leads:
            forget_looks_behind(self._folder, step)
        looks = [each for each in read_looks(self._folder) if each.step <= step]
        self._looked = {each.step for each in looks}
        lines = self.run.dir.metrics_from(0)[0]
        logs = {e.step: e.values for e in lines if e.stage == TRAINING and e.step <= step}
        for at in sorted({*logs, *self._looked}):
            for each in looks:
                if each.step == at:
                    self.series.saw(each)
            if at in logs:
                self._judge_again(self.series.read(at, logs[at]))
        if self.world.leads:
            self._write_alarms()

    def _judge_again(self, raised: Sequence[Alarm]) -> None:
        stopping = [each for each in raised if each.name in self.config.stop_on]
        self.stopped = self.stopped or (stopping[0] if stopping else None)


def readings_of(look: Look) -> dict[str, float]:
    """The means of a look, as they are logged."""
    values = {"motion": look.motion, "diversity": list(look.spread.values())}
    values |= {judge: look.scores(judge) for judge in (REWARD, JUDGE)}
    return {f"watched/{name}": mean(each) for name, each in values.items() if each}
