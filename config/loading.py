"""How the site is loaded: quickly, for each worker, command and run of it is a process."""

import gc
from types import ModuleType

from django.apps import AppConfig


class LoadingConfig(AppConfig):
    """The last of INSTALLED_APPS: the models come behind its making, and it is ready last of all.

    What is loaded are very many objects that stay. Nothing is looked for among them while they
    come, nor in later full collections, nor when the process ends (`make bench-starts`).
    """

    name = "config"

    def __init__(self, app_name: str, app_module: ModuleType | None) -> None:
        super().__init__(app_name, app_module)
        self._collected = gc.isenabled()
        gc.disable()

    def ready(self) -> None:
        if self._collected:
            gc.freeze()
            gc.enable()
