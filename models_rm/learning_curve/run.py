"""`python -m models_rm learning-curve RUN_DIR`: how many more votes does the next point cost?"""

from collections.abc import Mapping
from typing import Any, Final

from formats.files import write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import BadConfigError, Supervised
from models_rm.config import ConfigError
from models_rm.learning_curve.cells import results
from models_rm.learning_curve.config import LearningCurveConfig
from models_rm.learning_curve.figures import MEAN, figures
from models_rm.learning_curve.law import REFUSALS
from trainers.world import joined

SCHEMA: Final = "learning_curve/1"
FILE: Final = "outputs/learning_curve.json"


def learning_curve(run: Supervised) -> Outcome:
    """Train every cell, examine all on the same test pairs, fit the law, leave the file."""
    config = read_config(run)
    with joined(config.of_cell(config.fractions[0], config.seeds[0]).processes) as world:
        run.agree = world.most
        cells = results(run, config, world)
    if not world.leads:
        return Outcome(ExitCode.DONE)
    value = figures(cells, gain=config.gain, bootstrap=config.bootstrap)
    sha256 = write_json(run.dir.root / FILE, SCHEMA, value)
    words = {key: in_words(value, key) for key in value["forecasts"]}
    meta = {"forecasts": value["forecasts"], "words": words, "unit": value["unit"]}
    output = Output(OutputKind.LEARNING_CURVE, FILE, sha256, meta)
    summary = {"how many more": words, "accuracy without ties": _table(value)}
    return Outcome(ExitCode.DONE, "done", words[MEAN], (output,), summary)


def read_config(run: Supervised) -> LearningCurveConfig:
    try:
        return LearningCurveConfig.from_json(run.dir.config())
    except (ConfigError, TypeError) as error:
        raise BadConfigError(str(error)) from error


def in_words(value: Mapping[str, Any], key: str) -> str:
    """The forecast of one dimension, or of their mean, as a sentence."""
    found, unit = value["forecasts"][key], value["unit"]
    gain = f"{100 * value['gain']:g} more point{'s' * (value['gain'] != 0.01)} of accuracy"
    if found["refusal"]:
        at_least = f"; at least {rounded(found['low'])} more {unit}" if found["low"] else ""
        return f"no number for {gain}: {REFUSALS[found['refusal']]}{at_least}"
    likely = (
        f"likely {rounded(found['low'])} to {rounded(found['high'])}"
        if found["high"] is not None
        else f"at least {rounded(found['low'])}; these points allow no upper limit"
    )
    if len(value["seeds"]) == 1:
        likely += "; one seed, so the scatter between trainings is not in it"
    return f"{gain} for about {rounded(found['more'])} more {unit} ({likely})"


def rounded(count: float) -> str:
    """Two digits: more would not be known."""
    return f"{float(f'{count:.2g}'):,.0f}"


def _table(value: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    return {
        f"{point['size']:,.0f} {value['unit']}": {
            key: None if row is None else row["value"]
            for key, row in point["accuracy_without_ties"].items()
        }
        for point in value["points"]
    }
