"""The category of a label error: from WordNet, from what experts confuse, from the ticks."""

from __future__ import annotations

import pytest

from audit.loaders.class_names import list_imagenet, name_classes
from audit.models import DatasetClass
from reviews.categories import (
    allowed_verdicts,
    corrected_label,
    find_near_classes,
    propose_verdict,
)
from reviews.models import Verdict
from tests.reviews.proposal_cases import CASES, GIVEN, NEAR


def make_class(index: int, wordnet_id: str = "", *parents: str) -> DatasetClass:
    return DatasetClass(index=index, name=wordnet_id, wordnet_id=wordnet_id, parents=list(parents))


SPIDERS = [
    make_class(0, "spider", "arachnid"),
    make_class(1, "orb", "spider"),
    make_class(2, "garden", "orb"),
    make_class(3, "barn", "orb"),
    make_class(4, "scorpion", "arachnid"),
    make_class(5, "screen", "display"),
]


@pytest.mark.parametrize(("labels", "expected"), CASES)
def test_ticks_propose_a_category(labels, expected):
    assert propose_verdict(GIVEN, labels, NEAR) == expected


def test_descendants_make_sub_classes_at_any_depth_and_ancestors_super_classes():
    near = find_near_classes(SPIDERS, [])
    assert near[0] == {1: "sub_class", 2: "sub_class", 3: "sub_class", 4: "similar_class"}
    assert near[2] == {1: "super_class", 0: "super_class", 3: "similar_class"}
    assert near[4] == {0: "similar_class"}
    assert 5 not in near


def test_the_whole_line_of_ancestors_may_be_given_nearest_first():
    lines = [
        make_class(0, "spider", "arachnid", "animal"),
        make_class(1, "garden", "orb", "spider", "arachnid", "animal"),
        make_class(2, "barn", "orb", "spider", "arachnid", "animal"),
        make_class(3, "dog", "canine", "animal"),
    ]
    near = find_near_classes(lines, [])
    assert near[0] == {1: "sub_class", 2: "sub_class"}
    assert near[1] == {0: "super_class", 2: "similar_class"}
    assert 3 not in near  # sharing a distant ancestor makes no look-alike


def test_of_imagenets_classes_siblings_are_similar_and_none_is_part_of_another():
    classes = [
        DatasetClass(index=index, wordnet_id=each.wordnet_id, parents=list(each.parents))
        for index, each in enumerate(list_imagenet())
    ]
    near = find_near_classes(classes, [])
    assert {word for row in near.values() for word in row.values()} == {"similar_class"}
    for one, row in near.items():
        for other in row:
            assert classes[one].parents[0] == classes[other].parents[0]
    assert 282 in near[281]  # tabby and tiger cat
    assert 151 not in near[281]  # Chihuahua


def test_classes_above_imagenets_make_super_classes_of_their_leaves():
    names = ["n02121808", "n02123045", "n02085620", "n02083346"]  # domestic cat, tabby, Chihuahua
    classes = [
        DatasetClass(index=index, wordnet_id=each.wordnet_id, parents=list(each.parents))
        for index, each in enumerate(name_classes(names))
    ]
    near = find_near_classes(classes, [])
    assert near[0] == {1: "sub_class"}
    assert near[1] == {0: "super_class"}
    assert near[2] == {3: "super_class"}  # a canine


def test_without_parents_what_the_experts_confuse_is_similar_and_the_rest_wrong():
    classes = [make_class(index) for index in range(4)]
    near = find_near_classes(classes, [(0, 2)])
    assert near == {0: {2: "similar_class"}, 2: {0: "similar_class"}}
    assert propose_verdict(0, [2], near[0]) == "similar_class"
    assert propose_verdict(0, [1], near[0]) == "wrong_label"


def test_kinship_counts_before_confusion_and_a_circle_of_parents_ends():
    near = find_near_classes(SPIDERS, [(0, 2)])
    assert near[0][2] == "sub_class"
    circle = [make_class(0, "a", "b"), make_class(1, "b", "a")]
    assert set(find_near_classes(circle, [])) == {0, 1}


@pytest.mark.parametrize(("labels", "proposed"), CASES[1:])
def test_what_is_proposed_is_always_allowed(labels, proposed):
    assert proposed in allowed_verdicts(GIVEN, labels)
    assert Verdict.UNSURE in allowed_verdicts(GIVEN, labels)
    assert Verdict.WITHDRAWN not in allowed_verdicts(GIVEN, labels)


def test_a_verdict_may_not_contradict_the_ticks():
    assert allowed_verdicts(0, None) == {Verdict.UNSURE}
    assert allowed_verdicts(0, [0]) == {Verdict.LABEL_CORRECT, Verdict.UNSURE}
    assert Verdict.LABEL_CORRECT not in allowed_verdicts(0, [3])
    assert Verdict.MULTI_OBJECT not in allowed_verdicts(0, [3, 4])
    assert Verdict.WRONG_LABEL not in allowed_verdicts(0, [0, 3])


@pytest.mark.parametrize(
    ("verdict", "labels", "expected"),
    [
        ("label_correct", [0], None),
        ("unsure", [3], None),
        ("wrong_label", [], None),
        ("wrong_label", [3, 4], 3),
        ("multi_object", [0, 4], 4),
        ("multi_object", [4, 0, 3], 4),
        ("sub_class", [1], 1),
    ],
)
def test_the_same_ticks_give_the_corrected_label(verdict, labels, expected):
    assert corrected_label(Verdict(verdict), 0, labels) == expected
