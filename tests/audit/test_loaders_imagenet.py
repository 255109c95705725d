"""ImageNet's validation set in its three published shapes: the same items, whatever the shape."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from audit.loaders import ImportRefused, LoadedDataset, load_dataset
from tests.imagenet import ORDER, SYNSETS, picture_name, write_devkit, write_meta

LABELS = [65, 970, 230, 809, 516, 57, 334, 415, 674, 332]


def make_flat(root: Path, labels: list[int] = LABELS) -> Path:
    folder = root / "ILSVRC2012_img_val"
    folder.mkdir(parents=True)
    for number in range(1, len(labels) + 1):
        (folder / picture_name(number)).touch()
    return root


def make_devkit(root: Path, labels: list[int] = LABELS) -> Path:
    make_flat(root, labels)
    write_devkit(root, labels)
    return root


def make_kaggle(root: Path, labels: list[int] = LABELS) -> Path:
    make_flat(root, labels)
    (root / "ILSVRC2012_img_val").rename(root / "val")
    rows = [
        f"{picture_name(number)[:-5]},{SYNSETS[label]} 85 1 499 272 \n"
        for number, label in enumerate(labels, start=1)
    ]
    random.Random(1).shuffle(rows)  # noqa: S311 - Kaggle's file is in no order
    (root / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(rows))
    return root


def make_folders(root: Path, labels: list[int] = LABELS) -> Path:
    for number, label in enumerate(labels, start=1):
        folder = root / "val" / SYNSETS[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / picture_name(number)).touch()
    return root


SHAPES = {"devkit": make_devkit, "kaggle": make_kaggle, "folders": make_folders}


def load(path: Path, **options) -> LoadedDataset:
    return load_dataset("imagenet", path, **options)


def codes_of(path: Path, **options) -> list[str]:
    with pytest.raises(ImportRefused) as refusal:
        load(path, **options)
    return [problem.code for problem in refusal.value.problems]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_published_shape_gives_the_same_labels(tmp_path, shape):
    loaded = load(SHAPES[shape](tmp_path / "imagenet"))
    labels = {item.key.rpartition("/")[2]: item.label for item in loaded.items}
    assert labels == {picture_name(place + 1): label for place, label in enumerate(LABELS)}
    assert all((loaded.root / item.image).is_file() for item in loaded.items)
    assert len(loaded.classes) == 1000
    tench = loaded.classes[0]
    assert (tench.name, tench.wordnet_id, tench.synonyms) == ("tench", SYNSETS[0], ("Tinca tinca",))
    assert tench.parents[0] == "n01439121"  # cyprinid


def test_pictures_may_lie_in_a_folder_of_their_own(tmp_path):
    make_devkit(tmp_path / "devkit")
    (tmp_path / "devkit" / "ILSVRC2012_img_val").rename(tmp_path / "pictures")
    loaded = load(tmp_path / "devkit", root=tmp_path / "pictures")
    assert [item.label for item in loaded.items] == LABELS
    assert codes_of(tmp_path / "devkit") == ["empty"]


def test_b056_ground_truth_without_the_devkits_numbering_is_refused(tmp_path):
    root = make_devkit(tmp_path)
    (root / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").unlink()
    with pytest.raises(ImportRefused, match=r"own order: meta\.mat must lie beside"):
        load(root)


@pytest.mark.parametrize(("line", "code"), [("0", "label_base"), ("1001", "label_range")])
def test_b054_devkit_numbers_out_of_range_are_refused_with_their_row(tmp_path, line, code):
    root = make_devkit(tmp_path)
    truth = root / "ILSVRC2012_devkit_t12" / "data" / "ILSVRC2012_validation_ground_truth.txt"
    truth.write_text(truth.read_text().replace("\n", f"\n{line}\n", 1))
    with pytest.raises(ImportRefused) as refusal:
        load(root)
    [problem] = refusal.value.problems
    assert (problem.row, problem.code) == (2, code)


@pytest.mark.parametrize("line", ["", "x", "1.0", "+1", "٣", "01"])
def test_b059_devkit_numbers_are_plain_digits(tmp_path, line):
    root = make_devkit(tmp_path)
    truth = root / "ILSVRC2012_devkit_t12" / "data" / "ILSVRC2012_validation_ground_truth.txt"
    truth.write_text(truth.read_text() + f"{line}\n1\n")
    assert codes_of(root) == ["label_range"]


def test_b060_b061_more_labels_than_pictures_or_fewer_are_refused_with_both_counts(tmp_path):
    root = make_devkit(tmp_path)
    extra = root / "ILSVRC2012_img_val" / picture_name(11)
    extra.touch()
    with pytest.raises(
        ImportRefused, match=rf"10 labels, 11 pictures; no label for {picture_name(11)}"
    ):
        load(root)
    extra.unlink()
    (root / "ILSVRC2012_img_val" / picture_name(3)).unlink()
    with pytest.raises(ImportRefused, match="10 labels, 9 pictures; no picture 3"):
        load(root)


def test_b061_kaggles_labels_without_a_picture_become_missing_and_pictures_need_a_label(tmp_path):
    root = make_kaggle(tmp_path)
    (root / "val" / picture_name(3)).unlink()
    assert picture_name(3) in {item.image for item in load(root).items}
    (root / "val" / picture_name(11)).touch()
    assert codes_of(root) == ["missing_label"]


@pytest.mark.parametrize(
    ("prediction", "code"),
    [
        (f"{SYNSETS[0]} 1 2 3 4 {SYNSETS[1]} 1 2 3 4", "multilabel_unsupported"),
        ("n00001740 1 2 3 4", "unknown_class"),
        (f"{SYNSETS[0]} 1 2", "label"),
        ("", "label"),
    ],
)
def test_b063_a_solution_that_names_no_single_class_is_refused(tmp_path, prediction, code):
    root = make_kaggle(tmp_path)
    solution = root / "LOC_val_solution.csv"
    lines = solution.read_text().splitlines()
    lines[1] = f"{lines[1].partition(',')[0]},{prediction}"
    solution.write_text("\n".join(lines))
    assert code in codes_of(root)


def test_several_boxes_of_one_class_are_one_label(tmp_path):
    root = make_kaggle(tmp_path, [7])
    solution = root / "LOC_val_solution.csv"
    boxes = f"{SYNSETS[7]} 1 2 3 4 {SYNSETS[7]} 5 6 7 8"
    solution.write_text(f"ImageId,PredictionString\n{picture_name(1)[:-5]},{boxes}\n")
    assert [item.label for item in load(root).items] == [7]


def test_b062_an_image_twice_in_the_solution_is_refused(tmp_path):
    root = make_kaggle(tmp_path)
    solution = root / "LOC_val_solution.csv"
    solution.write_text(solution.read_text() + solution.read_text().splitlines()[1] + "\n")
    assert codes_of(root) == ["dup_id"]


def test_b049_folders_that_are_no_class_are_refused_and_missing_classes_counted(tmp_path):
    root = make_folders(tmp_path)
    assert load(root).notices == ("990 of 1000 classes have no images",)
    (root / "val" / "n00001740").mkdir()
    assert codes_of(root) == ["unknown_class"]


def test_b042_two_files_of_one_number_are_refused(tmp_path):
    root = make_devkit(tmp_path)
    (root / "ILSVRC2012_img_val" / picture_name(1).replace("JPEG", "jpg")).touch()
    assert codes_of(root) == ["dup_id"]


@pytest.mark.parametrize("content", [b"", b"\x80\x04evil", b"MATLAB 5.0 MAT-file" + b" " * 500])
def test_a_meta_file_that_is_no_meta_file_is_refused(tmp_path, content):
    root = make_devkit(tmp_path)
    (root / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").write_bytes(content)
    assert codes_of(root) == ["format"]


def test_a_meta_file_of_other_classes_is_refused(tmp_path):
    root = make_devkit(tmp_path)
    write_meta(root / "ILSVRC2012_devkit_t12" / "data" / "meta.mat", ORDER[:-1])
    assert codes_of(root) == ["unknown_class"]


def test_nothing_to_read_is_refused_with_what_was_looked_for(tmp_path):
    make_flat(tmp_path)
    with pytest.raises(ImportRefused, match="no labels"):
        load(tmp_path)
    assert codes_of(tmp_path, classes_file=tmp_path / "x") == ["classes"]
    assert codes_of(tmp_path / "none") == ["missing"]
    assert codes_of(tmp_path, root=tmp_path / "none") == ["missing"]


def test_other_formats_know_imagenets_classes_by_folder_and_by_index(tmp_path):
    make_folders(tmp_path / "folders", [0, 1])
    named = load_dataset("imagefolder", tmp_path / "folders" / "val").classes
    assert [each.name for each in named] == list(SYNSETS[:2])
    assert named[0].synonyms == ("tench", "Tinca tinca")
    assert named[0].gloss.startswith("freshwater dace-like game fish")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("key,label\na,134\nb,997\n")
    loaded = load_dataset("manifest", manifest, classes_file=Path("imagenet"))
    assert len(loaded.classes) == 1000
    assert [loaded.classes[item.label].name for item in loaded.items] == ["crane", "bolete"]
