"""WordNet's words, glosses and hypernyms for ImageNet's classes.

Words and glosses come with timm, for all of ImageNet's synsets; what lies above the 1,000 classes
is a table beside this file, derived from WordNet 3.0 (see LICENSE and docs/derive_hypernyms.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_HYPERNYMS = Path(__file__).with_name("hypernyms.tsv")


@dataclass(frozen=True, slots=True)
class Synset:
    """A WordNet synset: its words, the commonest first, its gloss, and all synsets above it.

    ``ancestors`` come nearest first; none where the table doesn't know the synset.
    """

    wordnet_id: str
    words: tuple[str, ...]
    gloss: str
    ancestors: tuple[str, ...]


@cache
def list_imagenet_classes() -> tuple[str, ...]:
    """Return the WordNet ids of ImageNet's 1,000 classes in class index order, which is sorted."""
    return tuple(_read_info("imagenet_synsets.txt").split())


def find_synsets(wordnet_ids: Iterable[str]) -> dict[str, Synset]:
    """Return what is known of these WordNet ids, of which any may be no synset of ImageNet's."""
    wanted = set(wordnet_ids)
    if not wanted:
        return {}
    words = _read_pairs("imagenet_synset_to_lemma.txt", wanted)
    glosses = _read_pairs("imagenet_synset_to_definition.txt", wanted)
    return {
        each: Synset(each, tuple(words[each].split(", ")), glosses[each], _find_ancestors(each))
        for each in sorted(words.keys() & glosses.keys())
    }


def _read_pairs(name: str, wanted: set[str]) -> dict[str, str]:
    lines = (line.partition("\t") for line in _read_info(name).splitlines())
    return {wordnet_id: text for wordnet_id, _, text in lines if wordnet_id in wanted}


def _read_info(name: str) -> str:
    # Found without importing timm, which would import torch.
    spec = find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("timm is not installed; it brings the names of ImageNet's classes")
    folder = Path(spec.submodule_search_locations[0])
    return (folder / "data" / "_info" / name).read_text(encoding="utf-8")


def _find_ancestors(wordnet_id: str) -> tuple[str, ...]:
    """Return everything above a synset, level by level."""
    hypernyms = _read_hypernyms()
    found: dict[str, None] = {}
    level = hypernyms.get(wordnet_id, ())
    while level:
        new = [each for each in level if each not in found]
        found.update(dict.fromkeys(new))
        level = tuple(above for each in new for above in hypernyms[each])
    return tuple(found)


@cache
def _read_hypernyms() -> dict[str, tuple[str, ...]]:
    rows = (line.split("\t") for line in _HYPERNYMS.read_text(encoding="ascii").splitlines())
    return {synset: tuple(above) for synset, *above in rows}
