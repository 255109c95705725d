"""The review commands: JSON on stdout, reasons and exit code 1 where something is refused."""

import json

import pytest
from django.core.management import CommandError, call_command

from audit.models import Audit
from reviews.models import Sample, VoteSource
from tests.factories import make_dataset, make_ready_audit, make_sample
from tests.reviews.test_releases import make_judged_audit

pytestmark = pytest.mark.django_db


def run(capsys, *arguments):
    call_command(*(str(argument) for argument in arguments), "--json")
    return json.loads(capsys.readouterr().out)


def test_draw_sample_prints_the_ledger(capsys):
    audit = make_ready_audit()
    document = run(capsys, "draw_sample", audit.pk, "--size", 4, "--unflagged", 3, "--seed", 2)
    assert (document["items"], document["seed"]) == (7, 2)
    assert sum(row["drawn"] for row in document["strata"] if row["flagged"]) == 4
    assert Sample.objects.get().votes_per_item == 1


def test_draw_sample_refuses_a_second_time(capsys):
    audit = make_ready_audit()
    call_command("draw_sample", str(audit.pk), "--size", "2")
    with pytest.raises(CommandError, match="has its sample already"):
        call_command("draw_sample", str(audit.pk))


def test_draw_sample_takes_votes_per_stratum_and_draws_anew_until_judged(capsys):
    audit = make_ready_audit()
    plan = run(capsys, "draw_sample", audit.pk, "--size", 4, "--unflagged", 3, "--plan")
    assert sum(row["drawn"] for row in plan["strata"]) == 7
    assert not Sample.objects.exists()
    name = plan["strata"][0]["name"]
    numbers = ["draw_sample", audit.pk, "--size", 4, "--unflagged", 3, "--revealed-share", 0.2]
    drawn = run(capsys, *numbers, "--votes-per-item", 2, "--stratum-votes", f"{name}=3")
    assert drawn["strata"][0]["votes_per_item"] == 3
    assert (drawn["votes"], drawn["revealed_share"], drawn["frozen"]) == (
        14 + drawn["strata"][0]["drawn"], 0.2, False,
    )  # fmt: skip
    assert run(capsys, *numbers, "--seed", 5, "--again")["seed"] == 5
    assert Sample.objects.get().seed == 5
    with pytest.raises(CommandError, match="is not STRATUM=V"):
        call_command("draw_sample", str(audit.pk), "--stratum-votes", "many", "--again")


def test_import_votes_and_report_against_them(capsys, tmp_path):
    audit = make_ready_audit()
    path = tmp_path / "votes.csv"
    path.write_text("key,annotator,labels\n00000.png,a,1\n00001.png,a,1\n00002.png,a,0\n")
    document = run(capsys, "import_votes", audit.dataset.slug, path, "--source", "real")
    assert (document["votes"], document["items"]) == (3, 3)
    report = run(
        capsys, "report", audit.pk, "--truth", "votes:real", "--policy", "strict",
        "--methods", "calibrated_ensemble", "ensemble",
    )  # fmt: skip
    assert (report["judged"], report["errors"]) == (3, 2)
    assert list(report["methods"]) == ["calibrated_ensemble", "ensemble"]
    assert len(report["overlap"]) == 1


def test_import_votes_names_the_row_and_writes_nothing(capsys, tmp_path):
    dataset = make_dataset()
    path = tmp_path / "votes.csv"
    path.write_text("key,annotator,labels\n00000.png,a,9\n")
    with pytest.raises(CommandError, match="row 2: '9' is not a class index"):
        call_command("import_votes", dataset.slug, str(path), "--source", "real", "--json")
    assert json.loads(capsys.readouterr().out)["error"]["row"] == 2
    assert not VoteSource.objects.exists()


def test_the_report_for_people_has_a_table_per_method(capsys):
    audit = make_judged_audit()
    call_command("report", str(audit.pk))
    text = capsys.readouterr().out
    assert "two experts, top-k bins" in text
    assert "k=3" in text
    assert "precision of A - B" in text


def test_before_the_first_verdict_the_report_says_so_and_what_is_flagged(capsys):
    audit = make_ready_audit()
    make_sample(audit, 4)
    call_command("report", str(audit.pk))
    text = capsys.readouterr().out
    assert "no verdict counts yet" in text
    assert "two experts, top-k bins" in text
    assert "n/a" not in text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--truth", "votes:gone"], "is not one of: judgments"),
        (["--methods", "magic"], "is not one of: calibrated_ensemble"),
    ],
)
def test_a_report_of_something_unknown_is_refused(arguments, reason):
    audit = make_ready_audit()
    with pytest.raises(CommandError, match=reason):
        call_command("report", str(audit.pk), *arguments)


@pytest.mark.parametrize("command", ["report", "export_labels"])
def test_an_audit_under_way_has_nothing_to_show(command, tmp_path):
    audit = make_ready_audit()
    Audit.objects.update(state=Audit.State.SCORING)
    more = ["--out", str(tmp_path / "out")] if command == "export_labels" else []
    with pytest.raises(CommandError, match="needs a ready audit"):
        call_command(command, str(audit.pk), *more)


def test_export_then_verify_then_tamper(capsys, tmp_path):
    audit = make_judged_audit()
    folder = tmp_path / "out"
    document = run(capsys, "export_labels", audit.pk, "--out", folder, "--policy", "lenient")
    assert document["counts"]["excluded"] == 1
    assert run(capsys, "verify_export", folder)["intact"] is True
    with pytest.raises(CommandError, match="not an empty folder"):
        call_command("export_labels", str(audit.pk), "--out", str(folder))
    (folder / "labels.csv").write_bytes((folder / "labels.csv").read_bytes()[:-1] + b" ")
    with pytest.raises(CommandError, match=r"labels\.csv is changed"):
        call_command("verify_export", str(folder), "--json")
    assert json.loads(capsys.readouterr().out)["problems"] == ["labels.csv is changed"]


@pytest.mark.parametrize("command", ["draw_sample", "report", "export_labels"])
def test_an_unknown_audit_is_refused(command, tmp_path):
    more = ["--out", str(tmp_path / "out")] if command == "export_labels" else []
    with pytest.raises(CommandError, match="no audit 99"):
        call_command(command, "99", *more)
