"""What a guideline says: its form, checked, and one language of it, with what falls back named.

{"instructions": {language: text},
 "dimensions": {key: {language: {"title", "question", "sentences": [...]}}},
 "examples": {key: [{"video": uuid, "good": bool, "note": {language: text}}]}}
"""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _

from annotation.errors import BadGuideline
from annotation.languages import is_known
from annotation.models import Campaign, Language, Video

ENGLISH: Final = Language.ENGLISH.value
MAX_TEXT: Final = 20_000
MAX_SENTENCES: Final = 40
MAX_EXAMPLES: Final = 12  # per dimension

Body = dict[str, Any]


def check_body(campaign: Campaign, body: object) -> Body:
    """The body as it is stored, without what is empty. BadGuideline names what is wrong."""
    if not isinstance(body, Mapping) or set(body) - {"instructions", "dimensions", "examples"}:
        raise BadGuideline(
            _("A guideline has instructions, dimensions and examples, and nothing else.")
        )
    known = {each.key: each for each in campaign.dimension_set.dimensions.all()}
    checked: Body = {
        "instructions": _texts(body.get("instructions", {}), "instructions"),
        "dimensions": {
            key: _dimension(key, value)
            for key, value in _of_known(body.get("dimensions", {}), known).items()
        },
        "examples": {
            key: _examples(key, value)
            for key, value in _of_known(body.get("examples", {}), known).items()
            if value
        },
    }
    missing = [key for key in known if ENGLISH not in checked["dimensions"].get(key, {})]
    if missing:
        raise BadGuideline(
            _("The dimension %(key)s needs its title and question in English.")
            % {"key": missing[0]}
        )
    _check_videos(checked["examples"])
    return checked


def _of_known(value: object, known: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadGuideline(_("Dimensions and examples must be objects with a key per dimension."))
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise BadGuideline(
            _("The campaign has no dimension %(key)s.") % {"key": str(unknown[0])[:80]}
        )
    return value


def _by_language(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(map(is_known, value)):
        raise BadGuideline(
            _("Texts of %(where)s stand under their language: %(known)s.")
            % {"where": where, "known": ", ".join(Language.values)}
        )
    return value


def _texts(value: object, where: str) -> dict[str, str]:
    found = {each: _text(text, where) for each, text in _by_language(value, where).items()}
    return {language: text for language, text in found.items() if text}


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or "\0" in value:
        raise BadGuideline(
            _("A text of %(where)s must be text of at most %(most)d characters.")
            % {"where": where, "most": MAX_TEXT}
        )
    return value.replace("\r\n", "\n").strip()


def _dimension(key: str, value: object) -> dict[str, Any]:
    found = {}
    for language, said in _by_language(value, key).items():
        if not isinstance(said, Mapping) or set(said) - {"title", "question", "sentences"}:
            raise BadGuideline(
                _("The dimension %(key)s has title, question and sentences.") % {"key": key}
            )
        texts = {name: _text(said.get(name, ""), key) for name in ("title", "question")}
        sentences = _sentences(key, said.get("sentences", []))
        if texts["title"] and texts["question"]:
            found[language] = {**texts, "sentences": sentences}
        elif any(texts.values()) or sentences:
            raise BadGuideline(
                _("The dimension %(key)s needs title and question in %(language)s, or nothing.")
                % {"key": key, "language": Language(language).label}
            )
    return found


def _sentences(key: str, value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_SENTENCES:
        raise BadGuideline(
            _("The dimension %(key)s has at most %(most)d sentences.")
            % {"key": key, "most": MAX_SENTENCES}
        )
    return [text for text in (_text(each, key) for each in value) if text]


def _examples(key: str, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > MAX_EXAMPLES:
        raise BadGuideline(
            _("The dimension %(key)s has at most %(most)d examples.")
            % {"key": key, "most": MAX_EXAMPLES}
        )
    return [_example(key, each) for each in value]


def _example(key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not isinstance(value.get("good"), bool):
        raise BadGuideline(
            _("An example of %(key)s names a video, whether it is good, and a note.") % {"key": key}
        )
    try:
        video = uuid.UUID(str(value.get("video")))
    except ValueError:
        raise BadGuideline(
            _("An example of %(key)s must name a video by its id.") % {"key": key}
        ) from None
    return {"video": str(video), "good": value["good"], "note": _texts(value.get("note", {}), key)}


def _check_videos(examples: Mapping[str, list[dict[str, Any]]]) -> None:
    """Annotators will see them, so each must be there and fit to be seen."""
    wanted = {each["video"] for rows in examples.values() for each in rows}
    shown = Video.objects.filter(pk__in=wanted, withdrawn=False).values_list("pk", flat=True)
    missing = sorted(wanted - {str(each) for each in shown})
    if missing:
        raise BadGuideline(_("There is no clip %(id)s to show as an example.") % {"id": missing[0]})


def in_language(body: Mapping[str, Any], language: str) -> dict[str, Any]:
    """What a reader of this language gets. `language` beside a text says which one it is in."""
    instructions, spoken = _said(body.get("instructions", {}), language, "")
    return {
        "instructions": instructions,
        "instructions_language": spoken,
        "dimensions": {
            key: _dimension_in(said, language) for key, said in body.get("dimensions", {}).items()
        },
    }


def _dimension_in(said: Mapping[str, Any], language: str) -> dict[str, Any]:
    texts, spoken = _said(said, language, {"title": "", "question": "", "sentences": []})
    return {**texts, "language": spoken}


def note_in(note: Mapping[str, str], language: str) -> str:
    text: str = _said(note, language, "")[0]
    return text


def _said(texts: Mapping[str, Any], language: str, nothing: Any) -> tuple[Any, str]:
    for each in (language, ENGLISH):
        if texts.get(each):
            return texts[each], each
    return nothing, language
