"""Policies: how votes settle, what is done about each category, one definition for all."""

import json
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from audit.models import Role
from reviews.decisions import Action, Snapshot, StandingVote, decide, decide_item
from reviews.models import StoredPolicy, Verdict
from reviews.policies import (
    BUILT_IN,
    CATEGORIES,
    QUESTION_CATEGORIES,
    Deed,
    Open,
    PolicyError,
    find_policy,
    list_policies,
    read_policy,
)
from reviews.rebuilds import RebuildRefusedError, rebuild
from reviews.release_diffs import Moment, count_moves, find_differences
from reviews.release_files import export_release
from reviews.reports import curves
from reviews.services.adjudication import Ruling, adjudicate, look
from reviews.services.releases import (
    ReleaseRefusedError,
    build_release,
    order_release,
    save_policy,
    snapshot_of,
)
from reviews.truths import load_truth
from tests.factories import make_member, make_project
from tests.reviews.situations import revise
from tests.reviews.test_release_formats import all_formats, make_question_audit, read_table
from tests.reviews.test_releases import make_judged_audit

pytestmark = pytest.mark.django_db
LENIENT = BUILT_IN["lenient"]
E, R = True, False  # an error, right
TWO_OF_THREE = replace(LENIENT, needed=2, asked=3)


def votes(*said, **fields):
    return [
        StandingVote(
            number, number, *(one if isinstance(one, tuple) else (one, None)), None, **fields
        )
        for number, one in enumerate(said)
    ]


def test_the_built_in_policies_are_the_papers():
    assert BUILT_IN["lenient"].errors == {*CATEGORIES, *QUESTION_CATEGORIES}
    assert BUILT_IN["strict"].errors == {"wrong_label", "wrong_ground_truth"}


@pytest.mark.parametrize(
    ("calls", "settled"),
    [
        ([E], None),
        ([R], None),
        ([E, E], True),
        ([R, R], False),
        ([E, R], None),
        ([E, R, None], None),
        ([E, R, R], False),
        ([E, E, R], True),
        ([None, None, None], None),
        ([E, E, R, R], True),
    ],
)
def test_two_of_three_settles_once_the_third_cant_change_it(calls, settled):
    assert TWO_OF_THREE.settle(calls) is settled


@pytest.mark.parametrize(
    ("deed", "action", "cleaned", "also"),
    [
        ("relabel", Action.RELABELLED, 2, ()),
        ("add", Action.LABEL_ADDED, 0, (2,)),
        ("exclude", Action.EXCLUDED, None, ()),
        ("keep", Action.KEPT, 0, ()),
    ],
)
@pytest.mark.parametrize("category", [*CATEGORIES, *QUESTION_CATEGORIES])
def test_every_category_may_have_every_action(category, deed, action, cleaned, also):
    policy = read_policy("own", 1, {"deeds": {category: deed}})
    decision = decide(0, votes((category, 2)), policy)
    assert (decision.action, decision.cleaned_label, decision.also_labels) == (
        action,
        cleaned,
        also,
    )
    assert policy.is_error(category) is (deed != "keep")


def test_answers_that_leave_the_key_out_replace_it():
    said = votes(("multiple_correct", 1), labels=(1, 3))
    decision = decide(0, said, LENIENT)
    assert (decision.action, decision.labels) == (Action.RELABELLED, [1, 3])
    said = votes(("multiple_correct", 1), labels=(0, 1))
    decision = decide(0, said, LENIENT)
    assert (decision.action, decision.labels) == (Action.LABEL_ADDED, [0, 1])


@pytest.mark.parametrize(
    ("without_class", "action"), [("exclude", Action.EXCLUDED), ("keep", Action.KEPT)]
)
def test_an_error_without_an_agreed_class(without_class, action):
    policy = read_policy("own", 1, {"without_class": without_class})
    decision = decide(0, votes(("wrong_label", 1), ("wrong_label", 2)), policy)
    assert (decision.action, decision.reason) == (action, "no agreed class")


def test_an_adjudicators_word_comes_first_where_the_policy_says_so():
    said = votes(("wrong_label", 2), ("wrong_label", 2))
    [ruling] = votes("label_correct")
    for policy in (LENIENT, TWO_OF_THREE):  # one person decides, whatever the policy asks for
        first = decide_item(0, said, ruling, policy)
        assert (first.action, first.reason, first.n_votes) == (Action.KEPT, "adjudicated", 2)
    one_more = decide_item(0, said, ruling, replace(LENIENT, adjudicated_first=False))
    assert (one_more.action, one_more.n_votes) == (Action.RELABELLED, 3)


def test_curves_put_adjudicators_first_by_the_same_policy():
    audit = make_judged_audit()
    row = audit.sample.items.get(item__position=0)  # two votes call it an error
    maintainer = make_member(audit.dataset.project, Role.MAINTAINER)
    adjudicate(maintainer, row, Ruling(Verdict.LABEL_CORRECT, "a zero"), look(row))
    first, one_more = (
        load_truth(audit, "judgments", replace(LENIENT, adjudicated_first=is_first))
        for is_first in (True, False)
    )
    assert first.judged[0] == one_more.judged[0] == 0
    assert (first.is_error[0], one_more.is_error[0]) == (False, True)


@pytest.mark.parametrize(
    ("undecided", "action", "labels", "marked"),
    [
        ("keep", Action.UNDECIDED, [1], None),
        ("exclude", Action.EXCLUDED, [], None),
        ("mark", Action.UNDECIDED, [1], ["00004.png"]),
    ],
)
def test_e10_what_becomes_of_undecided_items_is_the_policys_word(
    tmp_path, undecided, action, labels, marked
):
    audit = make_judged_audit()
    policy = read_policy("own", 3, {"undecided": undecided})
    manifest = export_release(
        audit, policy, Snapshot.now(audit), tmp_path / "out", ["csv", "real-json", "jsonl"]
    )
    row = read_table(tmp_path / "out" / "labels.csv")[4]
    assert row["action"] == action.value
    assert "unsure" in row["reason"]
    assert json.loads((tmp_path / "out" / "real.json").read_text())[4] == labels
    assert ("00004.png" in (tmp_path / "out" / "labels.jsonl").read_text()) is bool(labels)
    assert ("undecided.csv" in manifest["files"]) is (marked is not None)
    if marked:
        rows = read_table(tmp_path / "out" / "undecided.csv")
        assert [each["key"] for each in rows] == marked
        assert rows[0]["reason"] == "unsure"
    assert (manifest["policy"]["name"], manifest["policy"]["version"]) == ("own", 3)
    assert manifest["policy"]["definition"]["undecided"] == undecided


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "JSON object"),
        ({"votes": 3}, "'votes' is not part of a policy"),
        ({"deeds": {"typo": "keep"}}, "'typo' is not a category"),
        ({"deeds": {"wrong_label": "burn"}}, "wrong_label is one of relabel, add, exclude, keep"),
        ({"deeds": []}, "deeds is an object"),
        ({"needed": 2}, "give both"),
        ({"needed": 3, "asked": 2}, "3 of 2 votes"),
        ({"needed": 0, "asked": 2}, "from 1 to 99"),
        ({"needed": True, "asked": 2}, "from 1 to 99"),
        ({"undecided": "toss"}, "undecided is one of keep, exclude, mark"),
        ({"without_class": "add"}, "without_class is one of exclude, keep"),
        ({"adjudicated_first": 1}, "true or false"),
    ],
)
def test_what_is_no_policy_is_refused_with_the_reason(document, reason):
    with pytest.raises(PolicyError, match=reason):
        read_policy("own", 1, document)


def test_a_policy_reads_as_it_was_written():
    policy = read_policy(
        "own", 2, {"needed": 2, "asked": 3, "undecided": "mark", "deeds": {"sub_class": "keep"}}
    )
    assert read_policy("own", 2, policy.describe()) == policy
    assert (policy.deeds["sub_class"], policy.undecided) == (Deed.KEEP, Open.MARK)


def test_a_stored_policy_has_versions_and_a_project():
    project = make_project()
    assert save_policy(project, "ours", {"needed": 2, "asked": 3}).version == 1
    assert save_policy(project, "ours", {"needed": 2, "asked": 3}).version == 1
    assert save_policy(project, "ours", {"needed": 3, "asked": 5}).version == 2
    assert find_policy("ours", project.pk).needed == 3
    assert list_policies(project.pk) == ["lenient", "strict", "ours"]
    assert list_policies(make_project().pk) == ["lenient", "strict"]
    with pytest.raises(PolicyError, match="no policy 'ours'; there are: lenient, strict"):
        find_policy("ours", make_project().pk)
    for name, reason in (("strict", "built in"), ("a b", "letters, digits"), ("", "letters")):
        with pytest.raises(PolicyError, match=reason):
            save_policy(project, name, {})
    with pytest.raises(IntegrityError, match="built_in_policies_stay"), transaction.atomic():
        StoredPolicy.objects.create(project=project, name="strict", version=1, definition={})


def test_curves_and_releases_share_one_definition_of_an_error(tmp_path):
    audit = make_judged_audit()
    save_policy(
        audit.dataset.project, "ours", {"deeds": {"multi_object": "keep"}, "needed": 2, "asked": 2}
    )
    report = curves(audit, "judgments", "ours")
    assert report["policy"] == "ours"
    # Both votes call one item an error; one that calls another right is enough for 2 of 2.
    assert (report["judged"], report["errors"], report["unsure"]) == (3, 1, 2)
    manifest = export_release(audit, "ours", Snapshot.now(audit), tmp_path / "out", ["csv"])
    assert (manifest["counts"]["relabelled"], manifest["counts"]["undecided"]) == (1, 2)
    assert "multi_object" not in manifest["policy"]["errors"]


def test_a_release_keeps_the_policy_it_was_ordered_with():
    audit = make_judged_audit()
    project = audit.dataset.project
    save_policy(project, "ours", {"undecided": "mark"})
    release = order_release(audit, "ours", formats=["csv", "exclude"])
    save_policy(project, "ours", {"undecided": "exclude"})
    assert build_release(release.pk)
    release.refresh_from_db()
    assert (release.policy, release.policy_version) == ("ours", 1)
    assert release.manifest["policy"]["definition"]["undecided"] == "mark"
    assert "undecided.csv" in release.manifest["files"]
    assert "exclude.txt" in release.manifest["files"]
    with pytest.raises(ReleaseRefusedError, match="choose a format"):
        order_release(audit, "ours", formats=[])


@pytest.mark.parametrize("make", [make_judged_audit, make_question_audit])
def test_a_release_built_again_from_its_manifest_is_the_same_to_the_byte(tmp_path, make, capsys):
    audit = make()
    save_policy(audit.dataset.project, "ours", {"undecided": "mark"})
    export_release(
        audit, "ours", Snapshot.now(audit), tmp_path / "one", all_formats(audit)
    )  # fmt: skip
    revise(audit.sample.slots.exclude(judgment=None).first().judgment, "unsure")
    save_policy(audit.dataset.project, "ours", {})
    call_command("rebuild_release", str(tmp_path / "one"), "--out", str(tmp_path / "two"), "--json")
    assert json.loads(capsys.readouterr().out)["identical"] is True
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
            assert path.read_bytes() == twin.read_bytes()


def test_a_release_of_other_data_or_judgments_isnt_built_again(tmp_path):
    audit = make_judged_audit()
    export_release(audit, "lenient", Snapshot.now(audit), tmp_path / "one", ["csv"])
    file = tmp_path / "one" / "manifest.json"
    audit.dataset.items.filter(position=1).update(given_label=2)
    rebuilt = rebuild(file, tmp_path / "odd")
    assert rebuilt.changed == ["labels.csv", "manifest.json"]
    with pytest.raises(CommandError, match=r"not the same as before: labels\.csv"):
        call_command("rebuild_release", str(file), "--out", str(tmp_path / "odder"))
    type(audit.dataset).objects.update(sha256="1" * 64)
    with pytest.raises(RebuildRefusedError, match="the data set is not the one"):
        rebuild(file, tmp_path / "two")
    file.write_text(file.read_text().replace("lenient", "lenienu"))
    with pytest.raises(RebuildRefusedError, match="damaged"):
        rebuild(file, tmp_path / "two")
    file.write_text("[]")
    with pytest.raises(CommandError, match="no manifest"):
        call_command("rebuild_release", str(file), "--out", str(tmp_path / "two"))
    assert not (tmp_path / "two").exists()


def test_the_difference_of_two_releases_names_every_item_that_leaves_otherwise(capsys):
    audit = make_judged_audit()
    before = order_release(audit, "lenient")
    revise(
        audit.sample.slots.get(sampled_item__item__position=1, number=1).judgment, "wrong_label", 2
    )
    after = order_release(audit, "strict")
    found = find_differences(
        audit,
        Moment(LENIENT, snapshot_of(before)),
        Moment(BUILT_IN["strict"], snapshot_of(after)),
    )
    assert [(each.position, *each.labels()) for each in found] == [
        (1, [1], [2]),
        (3, [0, 1], [0]),
    ]
    assert count_moves(found) == [("kept", "relabelled", 1), ("label_added", "kept", 1)]
    call_command("diff_releases", str(audit.pk), "1", "2", "--json")
    document = json.loads(capsys.readouterr().out)
    assert document["items"] == 2
    assert document["shown"][0] == {"key": "00001.png", "before": [1], "after": [2]}
    with pytest.raises(CommandError, match="no release 9; there are: 1, 2"):
        call_command("diff_releases", str(audit.pk), "1", "9")


def test_the_policy_command_lists_prints_and_stores(tmp_path, capsys):
    project = make_project()
    file = tmp_path / "ours.json"
    file.write_text('{"needed": 2, "asked": 3}')
    call_command("policy", "ours", "--project", project.slug, "--set", str(file), "--json")
    stored = json.loads(capsys.readouterr().out)
    assert (stored["name"], stored["version"], stored["needed"]) == ("ours", 1, 2)
    call_command("policy", "--project", project.slug)
    assert capsys.readouterr().out.split() == ["lenient", "strict", "ours"]
    call_command("policy", "strict", "--project", project.slug)
    assert json.loads(capsys.readouterr().out)["deeds"]["multi_object"] == "keep"
    file.write_text("{")
    for arguments, reason in (
        (["ours", "--set", str(file)], "not JSON"),
        (["ours", "--set", str(tmp_path / "gone")], "can't be read"),
        (["theirs"], "no policy 'theirs'"),
    ):
        with pytest.raises(CommandError, match=reason):
            call_command("policy", *arguments, "--project", project.slug)
    with pytest.raises(CommandError, match="no project 'nowhere'"):
        call_command("policy", "--project", "nowhere")


@pytest.mark.parametrize("command", ["report", "export_labels"])
def test_an_unknown_policy_is_refused_with_those_there_are(command, tmp_path):
    audit = make_judged_audit()
    more = ["--out", str(tmp_path / "out")] if command == "export_labels" else []
    with pytest.raises(CommandError, match="no policy 'magic'; there are: lenient, strict"):
        call_command(command, str(audit.pk), "--policy", "magic", *more)
