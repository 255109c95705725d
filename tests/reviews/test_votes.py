"""Outside votes: read strictly, stored all or not at all, turned into a truth by majority."""

import pytest

from reviews.models import Vote, VoteSource
from reviews.services.votes import import_votes
from reviews.truths import UnknownTruthError, list_truths, load_truth, majority
from reviews.vote_files import VoteImportError
from tests.factories import make_dataset, make_ready_audit

pytestmark = pytest.mark.django_db


def write(tmp_path, *lines, newline="\n"):
    path = tmp_path / "votes.csv"
    path.write_bytes(newline.join([*lines, ""]).encode())
    return path


def test_labels_that_hold_are_stored_per_annotator(tmp_path):
    dataset = make_dataset(n_items=4)
    path = write(
        tmp_path,
        "key,annotator,labels",
        "00000.png,ann,0",
        "00000.png,bob,2;0",
        "00001.png,ann,",
    )
    source, _ = import_votes(dataset, path, "planted")
    assert (source.n_votes, source.n_items) == (3, 2)
    votes = Vote.objects.order_by("pk").values_list("item__key", "annotator", "labels")
    assert list(votes) == [
        ("00000.png", "ann", [0]),
        ("00000.png", "bob", [0, 2]),
        ("00001.png", "ann", []),
    ]


def test_verdicts_are_stored_as_they_are(tmp_path):
    path = write(tmp_path, "key,annotator,verdict", "00000.png,ann,wrong_label", newline="\r\n")
    import_votes(make_dataset(), path, "experts")
    assert Vote.objects.get().verdict == "wrong_label"


@pytest.mark.parametrize(
    ("lines", "row", "reason"),
    [
        ([], None, "no vote"),
        (["key,annotator,labels"], None, "no vote"),
        (["key,labels", "00000.png,0"], 1, "the header is"),
        (["key,annotator,labels", "gone.png,ann,0"], 2, "no item 'gone.png'"),
        (["key,annotator,labels", "00000.png,ann,3"], 2, "not a class index from 0 to 2"),
        (["key,annotator,labels", "00000.png,ann,-1"], 2, "not a class index"),
        (["key,annotator,labels", "00000.png,ann,1.0"], 2, "not a class index"),
        (["key,annotator,labels", "00000.png,ann,٢"], 2, "not a class index"),
        (["key,annotator,labels", "00000.png,ann,0;"], 2, "not a class index"),
        (["key,annotator,labels", "00000.png,ann,1;1"], 2, "names a class twice"),
        (["key,annotator,labels", "00000.png,,1"], 2, "an annotator is"),
        (["key,annotator,labels", "00000.png,ann"], 2, "2 fields"),
        (["key,annotator,labels", '00000.png,"ann,1'], 2, "not CSV"),
        (
            ["key,annotator,labels", "00000.png,ann,1", "00000.png,ann,1"],
            3,
            "votes on '00000.png' a second time",
        ),
        (["key,annotator,verdict", "00000.png,ann,fine"], 2, "not a verdict"),
        (["key,annotator,verdict", "00000.png,ann,withdrawn"], 2, "not a verdict"),
    ],
)
def test_a_bad_row_refuses_the_whole_file_with_row_and_reason(tmp_path, lines, row, reason):
    dataset = make_dataset()
    with pytest.raises(VoteImportError, match=reason) as refusal:
        import_votes(dataset, write(tmp_path, *lines), "bad")
    assert refusal.value.row == row
    assert not VoteSource.objects.exists()
    assert not Vote.objects.exists()


@pytest.mark.parametrize("content", [b"key,annotator,labels\n\xff\xfe,a,0\n"])
def test_a_file_that_is_not_utf8_is_refused(tmp_path, content):
    path = tmp_path / "votes.csv"
    path.write_bytes(content)
    with pytest.raises(VoteImportError, match="not UTF-8 at byte 21"):
        import_votes(make_dataset(), path, "bad")


@pytest.mark.parametrize("name", ["", "two words", "a/b", "x" * 51])
def test_a_source_needs_a_plain_name(tmp_path, name):
    with pytest.raises(VoteImportError, match="a source's name"):
        import_votes(make_dataset(), write(tmp_path, "key,annotator,labels"), name)


def test_a_missing_file_and_a_taken_name_are_refused(tmp_path):
    dataset = make_dataset()
    with pytest.raises(VoteImportError, match="can't be read"):
        import_votes(dataset, tmp_path / "nothing.csv", "real")
    path = write(tmp_path, "key,annotator,labels", "00000.png,ann,0")
    import_votes(dataset, path, "real")
    with pytest.raises(VoteImportError, match="has votes from 'real' already"):
        import_votes(dataset, path, "real")
    assert Vote.objects.count() == 1


def test_the_majority_is_strict_and_counts_sure_votes_only():
    assert majority([True, True, False]) is True
    assert majority([True, False]) is None
    assert majority([None, False, None]) is False
    assert majority([None, None]) is None
    assert majority([]) is None


def test_an_item_is_an_error_when_most_annotators_leave_its_given_label_out(tmp_path):
    audit = make_ready_audit(make_dataset(n_items=4, n_classes=2), n_flags=3)
    path = write(
        tmp_path,
        "key,annotator,labels",
        "00000.png,a,1",  # given label 0: two of three leave it out
        "00000.png,b,",
        "00000.png,c,0;1",
        "00001.png,a,1",  # given label 1 holds
        "00002.png,a,0",  # a tie
        "00002.png,b,1",
    )
    import_votes(audit.dataset, path, "real")
    truth = load_truth(audit, "votes:real", "strict")
    assert truth.judged.tolist() == [0, 1]
    assert truth.is_error.tolist() == [True, False]
    assert truth.unsure.tolist() == [2]
    assert (truth.n_with_several_votes, truth.n_unanimous) == (2, 0)


def test_outside_verdicts_follow_the_policy(tmp_path):
    audit = make_ready_audit()
    path = write(
        tmp_path,
        "key,annotator,verdict",
        "00000.png,a,sub_class",
        "00001.png,a,wrong_label",
        "00002.png,a,unsure",
    )
    import_votes(audit.dataset, path, "experts")
    assert load_truth(audit, "votes:experts", "lenient").is_error.tolist() == [True, True]
    assert load_truth(audit, "votes:experts", "strict").is_error.tolist() == [False, True]
    assert list_truths(audit.dataset) == ["judgments", "votes:experts"]


@pytest.mark.parametrize("name", ["votes:nobody", "nobody", "votes:"])
def test_an_unknown_truth_is_refused_with_the_known_ones(name):
    with pytest.raises(UnknownTruthError, match="is not one of: judgments"):
        load_truth(make_ready_audit(), name, "lenient")
