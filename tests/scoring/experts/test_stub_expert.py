"""The stub expert: same pixels, same logits, at the speed it is told to have."""

from __future__ import annotations

import time

import numpy as np
from PIL import Image

from scoring.experts import Question, load_expert


def picture(shade: int) -> Image.Image:
    return Image.new("RGB", (3, 2), (shade, shade, shade))


def test_logits_depend_on_pixels_and_seed_only():
    first = load_expert("stub:10-1").predict([picture(1), picture(2)])
    again = load_expert("stub:10-1").predict([picture(2), picture(1)])
    other = load_expert("stub:10-2").predict([picture(1), picture(2)])
    assert first.shape == (2, 10)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again[::-1])
    assert not np.allclose(first, other)


def test_a_different_shape_of_the_same_bytes_is_another_input():
    expert = load_expert("stub:3")
    wide, tall = expert.predict([Image.new("L", (4, 2)), Image.new("L", (2, 4))])
    assert not np.allclose(wide, tall)


def test_logits_spread_like_a_normal_of_standard_deviation_two():
    logits = load_expert("stub:1000").predict([picture(shade) for shade in range(50)])
    assert abs(float(logits.std()) - 2) < 0.05
    assert abs(float(logits.mean())) < 0.05


def test_the_delay_is_slept_once_per_input():
    expert = load_expert("stub:10-1-30")
    start = time.monotonic()
    expert.predict([picture(1), picture(2)])
    assert time.monotonic() - start >= 0.06


def test_the_card_tells_seeds_apart_but_not_delays():
    cards = [load_expert(name).card for name in ("stub:10-1", "stub:10-1-5", "stub:10-2")]
    assert cards[0].fingerprint == cards[1].fingerprint != cards[2].fingerprint
    assert cards[0].to_json()["n_classes"] == 10


def test_no_inputs_give_no_rows():
    assert load_expert("stub:10").predict([]).shape == (0, 10)


def test_questions_are_told_apart_by_question_and_choices_and_by_nothing_else():
    expert = load_expert("stub:3-1")
    same, renamed, other, short = expert.predict(
        [
            Question("Who?", ("a", "b", "c"), "people", "1"),
            Question("Who?", ("a", "b", "c"), "animals", "2"),
            Question("Who?", ("a, b", "b", "c")),
            Question("Who?", ("a", "b")),
        ]
    )
    np.testing.assert_array_equal(same, renamed)
    assert not np.allclose(same, other)
    assert np.isnan(short).tolist() == [False, False, True]
