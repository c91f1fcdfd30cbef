"""The button that fills a world of the demo and starts its loop, as a run (`demo_loop`).

Rendering and storing clips takes a minute, so it is no work for a request. Pressed twice, it is the
same run; done twice, it finds what is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User

from formats.outcome import ExitCode, Outcome
from formats.supervised import Supervised
from pipelines import trainer_configs
from pipelines.errors import InvalidRunConfig
from pipelines.loops.demo_presets import ANIME, WORLDS, preset
from pipelines.models import Run
from pipelines.step_configs import StepConfig, one_of, require, whole

KIND: Final = "demo_loop"


@dataclass(frozen=True, slots=True)
class DemoLoopConfig(StepConfig):
    """Which world in which size. `site`: where the simulated people reach the site."""

    world: str = ANIME
    preset: str = "demo"
    seed: int = 0
    site: str = ""

    def __post_init__(self) -> None:
        one_of("world", self.world, WORLDS)
        one_of("preset", self.preset, ("demo", "micro"))
        whole("seed", self.seed, low=0)
        require(self.site.startswith(("http://", "https://")), "site", "an address", self.site)


def check(values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config; InvalidRunConfig where the site is not the demo."""
    if not settings.TIEBREAK_DEMO:
        raise InvalidRunConfig(
            "the worlds of the demo have accounts with public passwords; start them on a site that "
            "`make run` has brought up"
        )
    return trainer_configs.checked(DemoLoopConfig.from_json, values)


def start(user: User, site: str, *, world: str = ANIME, name: str = "demo") -> Run:
    """The run that fills this world and starts its loop; the same one however often it is asked."""
    from pipelines.starting import start_run  # it reads the registry, which reads this module

    values = {"world": world, "preset": name, "site": site}
    title = preset(name, world=world)["name"]
    return start_run(
        KIND, values, user=user, name=f"{title}: clips and loop", nonce=f"demo loop {world} {name}"
    )


def perform(run: Supervised) -> Outcome:
    """The body of the run."""
    from pipelines.loops import demo_site  # as above

    config = DemoLoopConfig.from_json(run.dir.config())
    values = preset(config.preset, config.seed, world=config.world)
    run.dir.log_metrics(0, 2, stage="accounts, and clips to try")
    demo_site.prepare(values)
    run.check()
    run.dir.log_metrics(1, 2, stage="rendering clips")
    group = demo_site.fill(values, config.site, lambda text: run.dir.log_metrics(1, 2, stage=text))
    run.dir.log_metrics(2, 2, stage="the loop has started")
    summary = {"loop": group.pk, "name": group.name, "runs": group.runs.count()}
    return Outcome(ExitCode.DONE, message=f"loop {group.pk} has started", summary=summary)
