"""What a site should know of its machine before it opens files of strangers."""

from django.core import checks

from annotation.media import cage


def check_kernel(**_options: object) -> list[checks.CheckMessage]:
    """For `manage.py check --deploy`."""
    if cage.is_supported():
        return []
    return [
        checks.Warning(
            "This kernel has no Landlock: a decoder that a clip takes over could read what the"
            " worker can.",
            hint="Run workers on Linux 5.13 or later with `landlock` among its security modules.",
            id="annotation.W001",
        )
    ]
