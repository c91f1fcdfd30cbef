from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PipelinesConfig(AppConfig):
    name = "pipelines"
    verbose_name = "Runs, models and reports"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from annotation.access import audited_acts, policies
        from pipelines import audit_acts, checks, policy_table, run_guard  # noqa: F401 - checks register

        post_migrate.connect(run_guard.after_migrate, sender=self)
        policies.declare(policy_table.ALL)
        audited_acts.declare(audit_acts.ACTS)
