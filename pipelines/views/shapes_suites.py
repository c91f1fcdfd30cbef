"""What goes through the REST doors of suites, as types."""

from rest_framework import serializers


class JudgeRow(serializers.Serializer):
    name = serializers.CharField()
    reward_model = serializers.IntegerField(help_text="an artifact")
    backbone = serializers.IntegerField(allow_null=True, help_text="a base model")


class ScoringRow(serializers.Serializer):
    weights = serializers.DictField(child=serializers.FloatField())
    vbench = serializers.ListField(child=serializers.CharField())
    generation = serializers.DictField()
    scoring = serializers.DictField()
    truth = serializers.DictField(allow_null=True)


class ScoringBody(ScoringRow):
    judges = JudgeRow(many=True)


class SuiteRow(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    title = serializers.CharField()
    prompts = serializers.IntegerField()
    images = serializers.IntegerField()
    judges = serializers.ListField(child=serializers.CharField())
    evaluations = serializers.IntegerField()


class SuiteList(serializers.Serializer):
    suites = SuiteRow(many=True)


class SuiteImportBody(serializers.Serializer):
    """One of a file, what lies below MEDIA_ROOT/incoming, or a list of prompts whose entries are
    those of a line of a file."""

    name = serializers.CharField()
    title = serializers.CharField(required=False)
    images = serializers.CharField(
        required=False, help_text="folder below MEDIA_ROOT/incoming that image_path starts from"
    )
    repair = serializers.BooleanField(required=False)
    file = serializers.FileField(required=False)
    incoming = serializers.CharField(
        required=False, help_text="a file, folder or archive below MEDIA_ROOT/incoming"
    )
    prompts = serializers.ListField(child=serializers.DictField(), required=False)


class SuiteImported(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    prompts = serializers.IntegerField()
    is_new = serializers.BooleanField()
    warnings = serializers.ListField(child=serializers.CharField())
    duplicates = serializers.ListField(child=serializers.CharField())


class PromptRow(serializers.Serializer):
    position = serializers.IntegerField()
    text = serializers.CharField()
    short_text = serializers.CharField()
    translations = serializers.DictField(child=serializers.CharField())
    category = serializers.CharField()
    split = serializers.CharField()
    image = serializers.CharField(allow_null=True, help_text="sha256 of the reference image")


class SuiteAnswer(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    title = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # as the column is called
    sha256 = serializers.CharField()
    count = serializers.IntegerField(help_text="of all prompts")
    prompts = PromptRow(many=True)
    scoring = ScoringRow()
    judges = JudgeRow(many=True)


class SuiteEvaluationBody(serializers.Serializer):
    config = serializers.DictField(help_text="docs/suites.md; `suite` may be left out")
    inputs = serializers.DictField(
        help_text='role to {"artifact"|"base_model"|"run": id}: base, candidate:NAME, generator,'
        " judges:NAME, backbone"
    )
    nonce = serializers.CharField(required=False)


class RunOfEvaluation(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()


class SuiteEvaluationAnswer(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    suite = serializers.CharField()
    config = serializers.DictField()
    runs = RunOfEvaluation(many=True)
    ended = serializers.BooleanField(help_text="Whether all its runs have.")
    results = serializers.DictField(
        child=serializers.IntegerField(), help_text="candidate to artifact of its evaluation"
    )
    report = serializers.IntegerField(allow_null=True, help_text="an artifact")
