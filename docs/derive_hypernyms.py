"""Derive the hypernyms of ImageNet's classes from WordNet 3.0: what `audit/wordnet` holds.

    python docs/derive_hypernyms.py /usr/share/wordnet/data.noun SYNSETS > hypernyms.tsv

SYNSETS is timm's list of the 1,000 synsets; Debian's package `wordnet-base` has `data.noun`.
"""

from __future__ import annotations

import sys
from pathlib import Path


def read_hypernyms(data_noun: Path) -> dict[str, list[str]]:
    """Return the direct hypernyms of every noun synset, in WordNet's order (see `man 5 wndb`)."""
    hypernyms = {}
    for line in data_noun.read_text(encoding="latin-1").splitlines():
        if line.startswith("  "):
            continue  # the licence
        fields = line.partition("|")[0].split()
        n_words = int(fields[3], 16)
        n_pointers = int(fields[4 + 2 * n_words])
        pointers = fields[5 + 2 * n_words :]
        hypernyms[f"n{fields[0]}"] = [
            f"n{pointers[4 * place + 1]}"
            for place in range(n_pointers)
            if pointers[4 * place] in {"@", "@i"}
        ]
    return hypernyms


def derive_table(data_noun: Path, synsets: list[str]) -> str:
    """Return one line per synset at or above one of ``synsets``: itself and its hypernyms."""
    hypernyms = read_hypernyms(data_noun)
    reached: set[str] = set()
    waiting = list(synsets)
    while waiting:
        synset = waiting.pop()
        if synset not in reached:
            reached.add(synset)
            waiting += hypernyms[synset]
    lines = ["\t".join([synset, *hypernyms[synset]]) for synset in sorted(reached)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    chosen = Path(sys.argv[2]).read_text(encoding="ascii").split()
    sys.stdout.write(derive_table(Path(sys.argv[1]), chosen))
