"""The page that compares methods: its figures are the report's, its address says what it shows."""

import csv
import io

import pytest

from audit.models import DatasetClass, Role
from reviews.comparison_page import Wanted
from reviews.models import Sample
from reviews.policies import PolicyError, find_policy, name_custom
from reviews.report_cache import find_report
from reviews.reports import curves
from reviews.services.sampling import freeze_sample
from scoring.domain_estimates import largest_k
from tests.factories import make_member, make_ready_audit
from tests.reviews.situations import judge, judge_truthfully, make_mixed_audit, make_wide_audit

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit():
    audit = make_wide_audit(n_items=1500)
    freeze_sample(audit, size=200, unflagged=100)
    judge_truthfully(Sample.objects.get())
    return audit


@pytest.fixture
def maintainer(audit, client):
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    return client


def show(client, audit, end="curves/", **query):
    return client.get(f"/audits/{audit.pk}/{end}", query)


def test_what_the_page_shows_is_what_the_report_says(audit, maintainer):
    context = show(maintainer, audit).context
    report = find_report(audit, "judgments", "lenient")
    assert context["report"] == report
    assert context["pair"] == report["overlap"][1]
    assert context["pair"]["b"] == "confident_learning"
    assert context["first_point"] in report["methods"]["calibrated_ensemble"]["points"]
    assert context["headline"].sentence in show(maintainer, audit).content.decode()


@pytest.mark.parametrize("target", [0.3, 0.5, 0.6, 0.9])
def test_the_largest_k_of_the_address_is_that_of_the_estimator(audit, maintainer, target):
    from reviews.reports import gather_evidence

    evidence = gather_evidence(audit, "judgments", "lenient")
    k = largest_k(evidence.sample, evidence.population.bin_rank, audit.n_bins, target)
    context = show(maintainer, audit, target=target).context
    assert context["largest_k"] == k
    assert context["first_k"] == (k or audit.n_bins)


def test_more_confidence_never_allows_a_larger_k(audit, maintainer):
    found = [
        show(maintainer, audit, target="0.5", confidence=level).context["largest_k"]
        for level in ("0.8", "0.9", "0.95", "0.99")
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0


@pytest.mark.parametrize(
    "query", [{"target": "x"}, {"target": "nan"}, {"target": "1"}, {"confidence": "2"}]
)
def test_an_address_that_makes_no_sense_shows_the_usual(audit, maintainer, query):
    assert show(maintainer, audit, **query).context["wanted"] == Wanted()


def test_a_custom_policy_counts_what_the_address_names():
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=50, unflagged=20)
    judge(sample, {0: "wrong_label", 1: "sub_class", 2: "multi_object", 3: "label_correct"})
    for chosen, errors in ((["sub_class"], 1), (["sub_class", "multi_object"], 2), ([], 0)):
        report = curves(audit, "judgments", name_custom(chosen))
        assert report["errors"] == errors
        assert report["policy"] == name_custom(chosen)


def test_the_boxes_ticked_become_an_address_that_keeps_them(audit, maintainer):
    page = show(maintainer, audit, policy="custom", error=["sub_class", "wrong_label"])
    assert page.context["wanted"].policy == "custom:wrong_label,sub_class"
    counted = [each.name for each in page.context["categories"] if each.is_counted]
    assert counted == ["wrong_label", "sub_class"]
    assert "policy=custom%3Awrong_label%2Csub_class" in page.context["truths"][0].query
    assert show(maintainer, audit, policy="custom:magic").context["wanted"].policy == "lenient"


def test_a_custom_policy_of_unknown_categories_is_refused():
    with pytest.raises(PolicyError, match="'magic' is not a category of error"):
        find_policy("custom:magic", 1)


def test_the_pair_to_compare_is_chosen_in_the_address(audit, maintainer):
    context = show(maintainer, audit, other="ensemble").context
    assert (context["pair"]["a"], context["pair"]["b"]) == ("calibrated_ensemble", "ensemble")
    assert {row["b"] for row in context["differences"]} == {"ensemble"}
    assert show(maintainer, audit, other="magic").context["pair"]["b"] == "ensemble"


def read_csv(answer):
    assert answer["Content-Disposition"].startswith("attachment")
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_the_tables_as_csv_are_the_json(audit, maintainer):
    report = show(maintainer, audit, "curves.json").json()
    rows = read_csv(show(maintainer, audit, "overlap.csv"))
    pair = report["overlap"][1]
    cells = {row["cell"]: row for row in rows if row["b"] == pair["b"]}
    assert list(cells) == [
        "a_only",
        "both",
        "b_only",
        "precision of a - b",
        "detection rate of a - b",
    ]
    for name, cell in pair["cells"].items():
        assert int(cells[name]["judged"]) == cell["judged"]
        assert float(cells[name]["value"]) == cell["precision"]["estimate"]
    assert float(cells["precision of a - b"]["low"]) == pair["difference"]["low"]

    rows = read_csv(show(maintainer, audit, "differences.csv"))
    told = [
        (row["a"], row["b"], row["rate"], row["difference"]["low"], row["together"]["high"])
        for row in report["equal_detection"]
    ]
    assert told
    assert told == [
        (
            row["a"],
            row["b"],
            float(row["detection_rate"]),
            float(row["low"]),
            float(row["high_of_all"]),
        )
        for row in rows
    ]


def test_the_limits_for_all_comparisons_hold_those_of_each(audit):
    for row in find_report(audit, "judgments", "lenient")["equal_detection"]:
        difference, together = row["difference"], row["together"]
        assert together["low"] <= difference["low"] <= difference["estimate"]
        assert difference["estimate"] <= difference["high"] <= together["high"]


def test_one_method_alone_has_curves_and_nothing_to_compare(client):
    audit = make_ready_audit()
    audit.flags.exclude(method="calibrated_ensemble").delete()
    audit.queue_counts = {"calibrated_ensemble": audit.queue_counts["calibrated_ensemble"]}
    audit.save()
    judge(freeze_sample(audit, size=6, unflagged=2), {0: "wrong_label", 1: "label_correct"})
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    page = show(client, audit).content.decode()
    assert "nothing to compare" in page
    assert 'id="overlap"' not in page


def test_an_audit_that_flags_nothing_has_a_page(client):
    audit = make_ready_audit(n_flags=0)
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    assert show(client, audit).status_code == 200


def test_names_from_the_data_are_text(audit, maintainer):
    hostile = "<script>alert(1)</script>"
    DatasetClass.objects.filter(dataset=audit.dataset).update(name=hostile)
    audit.flags.filter(method="ensemble").update(method=f"basic:{hostile}")
    page = show(maintainer, audit, other=hostile).content.decode()
    assert hostile not in page


def test_the_table_of_points_comes_when_it_is_unfolded(audit, maintainer):
    page = show(maintainer, audit).content.decode()
    assert f"/audits/{audit.pk}/curves/points/?truth=judgments" in page
    assert "k = 15" not in page
    table = show(maintainer, audit, "curves/points/").content.decode()
    assert (
        f'href="/audits/{audit.pk}/queue/?method=calibrated_ensemble&amp;k=15">k = 15</a>' in table
    )
    assert "<html" not in table
