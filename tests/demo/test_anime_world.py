"""The anime world: the first frame fixes who and where, the caption what happens, and each defect
shows and costs its own dimension."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from demo.anime.drawing import render, start_image
from demo.anime.knowing import know
from demo.anime.moving import start_of
from demo.anime.recipes import (
    ACTIONS,
    CAPTIONS,
    CHARACTERS,
    DIMENSIONS,
    EXAMPLE,
    KINDS,
    SCENES,
    SPAN,
    AnimeDefects,
    AnimeFacts,
    AnimeProfile,
    AnimeRecipe,
    caption,
    parse,
    random_recipe,
)
from demo.anime.seeing import look
from demo.anime.words import appearance_words, defect_grades
from demo.anime.world import mismatched, random_prompts, training_clips
from demo.dct_vae import round_trip
from formats.dimensions import ANIME
from formats.errors import FormatError

pytestmark = pytest.mark.one_engine

PERFECT = AnimeRecipe(EXAMPLE, EXAMPLE, start=5)


def test_its_dimensions_are_those_that_people_are_asked() -> None:
    assert ANIME.keys == DIMENSIONS
    assert set(SPAN) == set(DIMENSIONS) == {*KINDS, "text"}


def test_a_clip_begins_with_its_start_image_and_equal_recipes_give_equal_pixels() -> None:
    frames = render(PERFECT)
    assert (frames.shape, frames.dtype) == ((9, 64, 64, 3), np.uint8)
    assert (frames[0] == start_image(EXAMPLE, 5)).all()
    recipe = random_recipe(np.random.default_rng(1), EXAMPLE, 5, AnimeProfile("p"))
    assert (render(recipe) == render(recipe)).all()


def test_the_start_image_says_nothing_of_what_only_the_caption_tells() -> None:
    other = replace(EXAMPLE, action="jumps", emote="drop")
    assert (start_image(EXAMPLE, 5) == start_image(other, 5)).all()
    assert (start_image(EXAMPLE, 5) != start_image(EXAMPLE, 6)).any()


@pytest.mark.parametrize("character", CHARACTERS)
def test_everybody_is_known_by_a_start_image_that_lost_its_details(character: str) -> None:
    for seed, scene in enumerate(SCENES):
        facts = AnimeFacts(character, scene, "jumps", "star")
        image = round_trip(np.repeat(start_image(facts, seed)[None], 9, axis=0))[0]
        known, start = know(image), start_of(seed)
        assert (known.character, known.scene) == (character, scene)
        assert known.start.mirrored == start.mirrored
        assert known.start.x == pytest.approx(start.x, abs=0.4)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_seen_for_what_it_is(action: str) -> None:
    facts = replace(EXAMPLE, action=action)
    for little in (0.0, 0.7):
        recipe = AnimeRecipe(facts, facts, AnimeDefects(little=little), start=5)
        sight = look(round_trip(render(recipe)), start_image(facts, 5))
        assert sight.action == action
        assert sight.movement == pytest.approx(1 - 0.85 * little, abs=0.15)


def test_every_prompt_says_its_facts_and_no_two_say_the_same() -> None:
    prompts = random_prompts(CAPTIONS, np.random.default_rng(0))
    assert len({text for text, _ in prompts}) == CAPTIONS == 6 * 4 * 6 * 3
    assert all(caption(parse(text)) == text for text, _ in prompts)


def test_words_on_appearance_do_not_hide_the_facts() -> None:
    text = caption(EXAMPLE, ("very shaky", "", "clean"))
    assert text == (
        "a very shaky, clean clip where Aki walks left in the meadow and a heart appears"
    )
    assert parse(text) == EXAMPLE


def test_what_is_not_of_this_world_is_refused_in_a_sentence() -> None:
    with pytest.raises(FormatError, match="not a prompt of the anime world"):
        parse("a cat plays the piano")
    with pytest.raises(FormatError, match="scene 'moon' is not of the anime world"):
        replace(EXAMPLE, scene="moon")
    with pytest.raises(FormatError, match="the character of a clip is fixed by its first frame"):
        AnimeRecipe(EXAMPLE, replace(EXAMPLE, character="Kuro"))


@pytest.mark.parametrize(
    ("own", "kind"), [(own, kind) for own, kinds in KINDS.items() for kind in kinds]
)
def test_each_defect_shows_and_lowers_its_own_dimension(own: str, kind: str) -> None:
    flawed = replace(PERFECT, defects=AnimeDefects(**{kind: 0.7}))
    lost = {key: SPAN[key] - value for key, value in flawed.quality().items()}
    assert lost == pytest.approx({key: 0.7 * SPAN[key] * (key == own) for key in DIMENSIONS})
    assert np.abs(render(flawed).astype(float) - render(PERFECT)).mean() > 1  # of 255 levels


def test_a_recipe_survives_its_file() -> None:
    recipe = random_recipe(np.random.default_rng(3), EXAMPLE, 9, AnimeProfile("p"))
    assert AnimeRecipe.from_json(recipe.to_json()) == recipe


def test_training_clips_show_what_they_say_and_no_held_out_prompt() -> None:
    held_out = frozenset(text for text, _ in random_prompts(300, np.random.default_rng(4)))
    clips = list(training_clips(12, seed=5, described=True, exclude=held_out))
    again = list(training_clips(12, seed=5, described=True, exclude=held_out))
    for clip, other in zip(clips, again, strict=True):
        assert parse(clip.caption) == clip.recipe.shown
        assert caption(clip.recipe.shown) not in held_out
        assert (clip.start == start_image(clip.recipe.shown, clip.recipe.start)).all()
        assert (clip.frames == other.frames).all()


def test_words_and_grades_follow_the_levels() -> None:
    rng = np.random.default_rng(6)
    recipe = replace(PERFECT, defects=AnimeDefects(shake=0.85, blur=0.55, morph=0.275))
    written = Counter(appearance_words(recipe, rng) for _ in range(60))
    assert len(written) > 1  # now and then a word is a step off
    usual = ("very shaky", "lively", "blurry", "faithful", "slightly morphing")
    assert written.most_common(1)[0][0] == usual
    grades = np.mean([defect_grades(recipe, rng) for _ in range(60)], axis=0)
    kinds = [kind for each in KINDS.values() for kind in each]
    assert grades[kinds.index("shake")] > grades[kinds.index("blur")] > grades[kinds.index("morph")]
    assert grades[kinds.index("tint")] == 0


def test_a_mismatched_caption_names_what_differs() -> None:
    rng = np.random.default_rng(7)
    for _ in range(10):
        text, names = mismatched(EXAMPLE, rng)
        assert set(parse(text).differing(EXAMPLE)) == set(names) <= {"action", "emote"}
