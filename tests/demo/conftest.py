"""What the tests of the demo share."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _folder_of_static_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The live server starts before any test's own settings; WhiteNoise wants its folder then."""
    from django.conf import settings

    settings.STATIC_ROOT = tmp_path_factory.mktemp("static")
