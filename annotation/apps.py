from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.core import checks
from django.db.models.signals import post_migrate, post_save


class AnnotationConfig(AppConfig):
    name = "annotation"
    verbose_name = "Annotation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models can only be imported when all apps are loaded.
        from django.contrib.auth.models import User

        from annotation.access import audit, policies, policy_table
        from annotation.accounts import fresh_login, second_factor, sessions
        from annotation.languages import check_catalogs, read_profile_at_login
        from annotation.media.checks import check_kernel

        user_logged_in.connect(audit.note_login)
        post_migrate.connect(_ensure_what_every_site_has, sender=self)
        user_logged_in.connect(read_profile_at_login)
        user_logged_in.connect(fresh_login.note_login)
        user_logged_in.connect(sessions.begin)
        post_save.connect(sessions.end_where_disabled, sender=User)
        second_factor.connect_signals()
        policies.declare(policy_table.ALL)
        checks.register(check_catalogs, checks.Tags.translation)
        checks.register(check_kernel, checks.Tags.security, deploy=True)


def _ensure_what_every_site_has(**_kwargs: Any) -> None:
    """Built-in dimension sets and the groups of the roles.

    After each migrate and not in a data migration, because tests that flush the database run it
    again, and a set that a later version adds needs no migration.
    """
    # Models can only be imported when all apps are loaded.
    from annotation.campaigns import ensure_built_in_sets
    from annotation.permissions import ensure_groups

    ensure_groups()
    ensure_built_in_sets()
