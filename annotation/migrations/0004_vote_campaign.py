"""Votes know their campaign: filled from their triplets, then required."""

from django.db import migrations, models
from django.db.models import OuterRef, Subquery


def fill(apps, schema_editor):  # noqa: ARG001
    Vote, Triplet = apps.get_model("annotation", "Vote"), apps.get_model("annotation", "Triplet")
    of_triplet = Triplet.objects.filter(pk=OuterRef("triplet")).values("campaign")
    Vote.objects.filter(campaign=None).update(campaign=Subquery(of_triplet))
    Cursor = apps.get_model("annotation", "Cursor")
    Cursor.objects.update(questions=models.F("votes"))


class Migration(migrations.Migration):
    dependencies = [("annotation", "0003_quality_people_guidelines")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
