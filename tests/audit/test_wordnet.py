"""What WordNet says of ImageNet's classes, and where the table of hypernyms comes from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from audit import wordnet
from audit.loaders.class_names import list_imagenet, name_classes
from audit.wordnet import find_synsets, list_imagenet_classes

ROOT = Path(__file__).parents[2]
DATA_NOUN = Path("/usr/share/wordnet/data.noun")
EXCERPT = """\
  1 This software and database is being provided to you, the LICENSEE, by
00001740 03 n 01 entity 0 001 ~ 00001930 n 0000 | that which is perceived
00001930 03 n 01 physical_entity 0 002 @ 00001740 n 0000 ~ 00002137 n 0000 | an entity
00002137 03 n 02 thing 0 x 1 003 @i 00001930 n 0000 @ 00001740 n 0000 + 00001740 v 0101 | a thing
00002452 03 n 01 other 0 001 @ 00001740 n 0000 | not above any
"""


def derivation():
    spec = importlib.util.spec_from_file_location("derive", ROOT / "docs" / "derive_hypernyms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_hypernyms_are_read_from_wordnets_own_format(tmp_path):
    path = tmp_path / "data.noun"
    path.write_text(EXCERPT)
    expected = "n00001740\nn00001930\tn00001740\nn00002137\tn00001930\tn00001740\n"
    assert derivation().derive_table(path, ["n00002137"]) == expected


@pytest.mark.skipif(not DATA_NOUN.exists(), reason="Debian's wordnet-base is not installed")
def test_the_table_is_what_wordnet_says():
    derived = derivation().derive_table(DATA_NOUN, list(list_imagenet_classes()))
    assert (ROOT / "audit" / "wordnet" / "hypernyms.tsv").read_text() == derived


def test_a_class_is_described_by_words_gloss_and_all_that_lies_above_it():
    synset = find_synsets(["n02085620"])["n02085620"]
    assert synset.words == ("Chihuahua",)
    assert synset.gloss.startswith("an old breed of tiny short-haired dog")
    # toy dog, dog, then both of its hypernyms: canine and domestic animal
    assert synset.ancestors[:4] == ("n02085374", "n02084071", "n02083346", "n01317541")
    assert synset.ancestors[-1] == "n00001740"
    assert len(set(synset.ancestors)) == len(synset.ancestors)


def test_every_imagenet_class_is_known_and_none_lies_above_another():
    classes = list_imagenet_classes()
    synsets = find_synsets(classes)
    assert len(classes) == len(synsets) == 1000
    assert list(classes) == sorted(classes)
    above = {each for synset in synsets.values() for each in synset.ancestors}
    assert all("n00001740" in synset.ancestors for synset in synsets.values())
    assert not above & set(classes)


def read_table() -> dict[str, list[str]]:
    rows = (ROOT / "audit" / "wordnet" / "hypernyms.tsv").read_text().splitlines()
    return {synset: above for synset, *above in (row.split("\t") for row in rows)}


def distances_above(synset: str, table: dict[str, list[str]]) -> dict[str, int]:
    """How many steps every ancestor lies above a synset at least, found by relaxing."""
    found = {synset: 0}
    changed = True
    while changed:
        changed = False
        for each, steps in list(found.items()):
            for parent in table[each]:
                if found.get(parent, steps + 2) > steps + 1:
                    found[parent] = steps + 1
                    changed = True
    return found


def test_imagenets_classes_carry_every_ancestor_nearest_first():
    table = read_table()
    for each in list_imagenet():
        steps = distances_above(each.wordnet_id, table)
        assert set(each.parents) == steps.keys() - {each.wordnet_id}
        assert [steps[parent] for parent in each.parents] == sorted(
            steps[parent] for parent in each.parents
        )
        assert each.parents[0] == table[each.wordnet_id][0]


def test_b070_what_lies_above_a_class_has_neither_circles_nor_gaps():
    """No file of parents can be brought in: the only one there is comes with the product."""
    table = read_table()
    assert {each for above in table.values() for each in above} <= table.keys()
    open_rows = {synset: set(above) for synset, above in table.items()}
    while roots := {synset for synset, above in open_rows.items() if not above}:
        open_rows = {
            synset: above - roots for synset, above in open_rows.items() if synset not in roots
        }
    assert open_rows == {}  # whatever is left over lies above itself


def test_in_a_set_of_a_thousand_leaves_and_inner_classes_the_nearest_parent_is_found():
    """As ImageNet-21k has it: 500 of ImageNet's classes beside 500 that lie above some of them."""
    table = read_table()
    leaves = list(list_imagenet_classes())[::2]
    inner = sorted(find_synsets(table.keys() - set(list_imagenet_classes())))[:500]
    classes = name_classes([*leaves, *inner])
    assert len(classes) == 1000
    known = {each.wordnet_id for each in classes}
    n_with_parent = 0
    for each in classes:
        steps = distances_above(each.wordnet_id, table)
        expected = min(
            (steps[other] for other in steps.keys() & known - {each.wordnet_id}), default=0
        )
        nearest = next((parent for parent in each.parents if parent in known), None)
        assert (steps[nearest] if nearest else 0) == expected
        n_with_parent += nearest is not None
    assert n_with_parent > 900


def test_what_wordnet_does_not_know_is_left_out():
    assert find_synsets(["n99999999", "cat"]) == {}
    assert find_synsets([]) == {}


def test_the_licence_lies_beside_the_table():
    text = (Path(wordnet.__file__).parent / "LICENSE").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in text
    assert "Permission to use, copy, modify and distribute" in text
