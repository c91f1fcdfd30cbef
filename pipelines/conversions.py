"""Released reward models: what a run of kind `conversion` is asked for."""

from collections.abc import Mapping
from typing import Any

from annotation.errors import AnnotationError
from annotation.media.keeping import below_incoming
from pipelines import trainer_configs
from pipelines.errors import InvalidRunConfig


def check(values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config; a release or a rating text that is not there is said before the start."""
    config = trainer_configs.conversion(values)
    name = config["folder"]
    try:
        folder = below_incoming(name)
        text = below_incoming(f"{name}/{config['template']}")
    except AnnotationError as error:
        raise InvalidRunConfig(error.message) from None
    if not (folder / "model_config.json").is_file():
        raise InvalidRunConfig(
            f"incoming/{name} holds no released reward model: there is no model_config.json"
        )
    if not (text.is_relative_to(folder) and text.is_file()):
        raise InvalidRunConfig(
            f"incoming/{name} holds no file {config['template']!r} with the rating text"
        )
    return config
