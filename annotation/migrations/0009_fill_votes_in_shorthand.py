"""Votes that were cast before get their shorthand from their judgements."""

from itertools import groupby, islice

from django.db import migrations

LABELS = {"A": "A", "tie": "T", "B": "B"}
REASONS = {"broken": "x", "unsafe": "u", "prompt_unclear": "p", "identical": "i", "other": "o"}
BATCH = 1000


def letter(label, reason, score):
    if label is None:
        return str(score)
    return REASONS[reason] if label == "invalid" else LABELS[label]


def fill(apps, schema_editor):  # noqa: ARG001  Django passes both
    Vote = apps.get_model("annotation", "Vote")
    Judgement = apps.get_model("annotation", "Judgement")
    rows = (
        Judgement.objects.filter(vote__said="")
        .order_by("vote_id", "dimension_id")
        .values_list("vote_id", "label", "reason", "score_a")
    )
    # A list, because the rows that are read are those that are written.
    said = iter(
        [
            Vote(pk=vote, said="".join(letter(*row[1:]) for row in group))
            for vote, group in groupby(rows.iterator(BATCH), key=lambda row: row[0])
        ]
    )
    while batch := list(islice(said, BATCH)):
        Vote.objects.bulk_update(batch, ["said"])


class Migration(migrations.Migration):
    dependencies = [("annotation", "0008_votes_in_shorthand")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
