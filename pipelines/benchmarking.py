"""Published benchmarks of reward models: what a run of kind `reward_benchmark` is asked for."""

from collections.abc import Mapping
from typing import Any

from annotation.errors import AnnotationError
from annotation.media.keeping import below_incoming
from pipelines import trainer_configs
from pipelines.errors import InvalidRunConfig


def check(values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config; a folder or file that is not there is said before the run starts."""
    config = trainer_configs.benchmark(values)
    try:
        folder = below_incoming(config["folder"])
        if not folder.is_dir():
            raise InvalidRunConfig(f"there is no folder incoming/{config['folder']} on the server")
        for name in (config["file"], *config["scores"].values()):
            found = below_incoming(f"{config['folder']}/{name}")
            if not (found.is_relative_to(folder) and found.is_file()):
                raise InvalidRunConfig(f"incoming/{config['folder']} holds no file {name!r}")
    except AnnotationError as error:
        raise InvalidRunConfig(error.message) from None
    return config
