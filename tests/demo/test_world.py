"""Equal recipes give equal pixels, prompts determine what is asked, defects are seen."""

from collections import Counter

import numpy as np
import pytest

from demo.drawing import PALETTE, render
from demo.recipes import (
    CAPTIONS,
    CHOICES,
    EXAMPLE,
    MOTION,
    TA_STEP,
    VISUAL,
    Defects,
    Facts,
    Profile,
    Recipe,
    appearance_words,
    caption,
    parse,
    random_facts,
    random_recipe,
    with_wrong_facts,
)
from demo.world import mismatched, random_prompts, training_clips
from formats.errors import FormatError


def test_a_clip_has_the_size_of_the_tiny_generator_and_equal_recipes_give_equal_pixels() -> None:
    recipe = random_recipe(np.random.default_rng(1), EXAMPLE, Profile("p"))
    frames = render(recipe)
    assert frames.shape == (9, 64, 64, 3)
    assert frames.dtype == np.uint8
    assert (frames == render(recipe)).all()


def test_every_prompt_says_its_facts_and_no_two_say_the_same() -> None:
    prompts = random_prompts(CAPTIONS, np.random.default_rng(0))
    assert len(set(prompts)) == CAPTIONS == 4 * 3 * 2 * 4 * 3
    assert [caption(parse(text)) for text in prompts] == prompts


def test_words_on_appearance_do_not_hide_the_facts() -> None:
    text = caption(EXAMPLE, "very blurry", "shaky")
    assert text == "a very blurry, shaky clip of two red circles moving left on a dark background"
    assert parse(text) == EXAMPLE


def test_a_prompt_of_another_world_is_refused_in_a_sentence() -> None:
    with pytest.raises(FormatError, match="not a prompt of the demo world"):
        parse("a cat plays the piano")
    with pytest.raises(FormatError, match="colour 'pink' is not of this world"):
        Facts("pink", "circle", "one", "dark", "left")


def test_wrong_facts_cost_text_alignment_and_nothing_else() -> None:
    rng = np.random.default_rng(2)
    for wrong in range(4):
        shown = with_wrong_facts(EXAMPLE, wrong, rng)
        assert len(EXAMPLE.differing(shown)) == wrong
        right, found = Recipe(EXAMPLE, EXAMPLE).quality(), Recipe(EXAMPLE, shown).quality()
        assert found["TA"] == pytest.approx(right["TA"] - TA_STEP * wrong)
        assert (found["VQ"], found["MQ"]) == (right["VQ"], right["MQ"])


@pytest.mark.parametrize("kind", [*VISUAL, *MOTION])
def test_each_defect_shows_and_lowers_its_own_dimension(kind: str) -> None:
    perfect, flawed = Recipe(EXAMPLE, EXAMPLE), Recipe(EXAMPLE, EXAMPLE, Defects(**{kind: 0.7}))
    own, other = ("VQ", "MQ") if kind in VISUAL else ("MQ", "VQ")
    assert flawed.quality()[own] == pytest.approx(0.3 * perfect.quality()[own])
    assert flawed.quality()[other] == perfect.quality()[other]
    difference = render(flawed).astype(float) - render(perfect)
    assert np.abs(difference).mean() > 1  # of 255 levels


def test_a_recipe_survives_its_file() -> None:
    recipe = random_recipe(np.random.default_rng(3), EXAMPLE, Profile("p"))
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_training_clips_show_what_they_say_and_no_held_out_prompt() -> None:
    held_out = frozenset(random_prompts(200, np.random.default_rng(4)))
    clips = list(training_clips(20, seed=5, described=True, exclude=held_out))
    assert len(clips) == 20
    for clip in clips:
        assert parse(clip.caption) == clip.recipe.shown
        assert caption(clip.recipe.shown) not in held_out
    again = list(training_clips(20, seed=5, described=True, exclude=held_out))
    assert all((a.frames == b.frames).all() for a, b in zip(clips, again, strict=True))


def test_words_on_appearance_follow_the_level() -> None:
    rng = np.random.default_rng(6)

    def usual(level: float) -> tuple[str, str]:
        recipe = Recipe(EXAMPLE, EXAMPLE, Defects(blur=level, jitter=level))
        written = Counter(appearance_words(recipe, rng) for _ in range(50))
        assert len(written) > 1  # now and then a word is a step off
        return written.most_common(1)[0][0]

    assert [usual(level) for level in (0.05, 0.275, 0.55, 0.85)] == [
        ("clean", "smooth"),
        ("slightly blurry", "slightly shaky"),
        ("blurry", "shaky"),
        ("very blurry", "very shaky"),
    ]


def test_a_mismatched_caption_names_what_differs() -> None:
    rng = np.random.default_rng(7)
    facts = random_facts(rng)
    text, names = mismatched(facts, rng, wrong=2)
    assert len(names) == 2
    assert all(getattr(parse(text), name) != getattr(facts, name) for name in names)
    assert set(names) <= set(CHOICES)


def test_the_figure_has_the_colour_that_is_asked_for() -> None:
    for colour, wanted in PALETTE.items():
        facts = Facts(colour, "circle", "one", "dark", "left")
        middle = render(Recipe(facts, facts))[4, 32, 32]
        assert middle == pytest.approx(np.array(wanted), abs=1)
