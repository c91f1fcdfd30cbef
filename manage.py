#!/usr/bin/env python
"""Django's entry point."""

import gc
import os
import sys


def main() -> None:
    # A start makes some hundred thousand objects that stay; to look through them for garbage every
    # 700 took a fifth of it.
    gc.set_threshold(50_000)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
