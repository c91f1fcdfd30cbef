"""`python -I -m demo {render,annotate,measure,pretrain} RUN_DIR`."""

import sys
from collections.abc import Callable
from pathlib import Path

from formats.outcome import Outcome
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised, supervise
from trainers.observing import observe

Body = Callable[[Supervised], Outcome]


# Each command imports only what it needs: torch takes seconds to load.
def _render() -> Body:
    from demo.render import render_world

    return render_world


def _annotate() -> Body:
    from demo.annotate import annotate

    return annotate


def _measure() -> Body:
    from demo.measure import measure_generations

    return measure_generations


def _pretrain() -> Body:
    return _pretrained_base


def _pretrained_base(run: Supervised) -> Outcome:
    base = run.dir.config().get("base")
    if base in ("vlm", "anime_vlm"):
        from demo import pretrain_vlm

        return pretrain_vlm.pretrain(run)
    if base in ("generator", "anime_generator"):
        from demo import pretrain_generator

        return pretrain_generator.pretrain(run)
    raise BadConfigError(f"base must be vlm, generator, anime_vlm or anime_generator, got {base!r}")


COMMANDS = {
    "render": _render,
    "annotate": _annotate,
    "measure": _measure,
    "pretrain": _pretrain,
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in COMMANDS:
        print(f"usage: python -m demo {{{','.join(COMMANDS)}}} RUN_DIR", file=sys.stderr)
        return 2
    command, folder = arguments
    return supervise(COMMANDS[command](), RunDir(Path(folder)), observe)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
