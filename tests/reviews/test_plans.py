"""Plans of further verdicts: what is counted, what is asked for, and what they come to."""

import csv
import io
import json

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from audit.models import Role
from reviews.plans import PlanRefusedError, plan_review
from reviews.populations import load_population, stratify
from reviews.reports import curves
from reviews.services.sampling import freeze_sample
from tests.factories import make_member
from tests.reviews.situations import judge, make_mixed_audit

pytestmark = pytest.mark.django_db


def judged_audit(n_judged=30):
    """An audit of 120 items, every second drawn one a label error."""
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=n_judged, unflagged=10)
    drawn = sorted(sample.items.values_list("item__position", flat=True))
    verdicts = ["wrong_label", "label_correct"] * len(drawn)
    judge(sample, dict(zip(drawn, verdicts, strict=False)))
    return audit


def test_a_plan_starts_from_the_verdicts_there_are_and_names_every_stratum():
    audit = judged_audit()
    plan = plan_review(audit, "judgments", "lenient", 0.2, "precision")
    population = load_population(audit)
    strata = stratify(audit, population)
    assert [row["stratum"] for row in plan["strata"]] == list(strata.names)
    assert sum(row["items"] for row in plan["strata"]) == population.n_usable
    assert sum(row["judged"] for row in plan["strata"]) == 40
    assert plan["n_more"] == sum(row["more"] for row in plan["strata"]) > 0
    assert plan["expected"]["high"] - plan["expected"]["low"] <= 0.2
    last = curves(audit, "judgments", "lenient")["methods"]["calibrated_ensemble"]["points"][-1]
    assert plan["now"]["estimate"] == pytest.approx(last["precision"]["estimate"])
    # Precision is a matter of the flagged items alone.
    outside = [row["more"] for row in plan["strata"] if row["stratum"].startswith("unflagged")]
    assert outside == [0] * len(outside)


def test_a_wider_target_and_fewer_bins_ask_for_less():
    audit = judged_audit()
    asked = [
        plan_review(audit, "judgments", "lenient", width, "precision", k)["n_more"]
        for width, k in ((0.5, 3), (0.2, 3), (0.2, 1))
    ]
    assert asked[0] <= asked[1]
    assert asked[2] < asked[1]
    rate = plan_review(audit, "judgments", "lenient", 0.05, "detection_rate")
    assert any(row["more"] for row in rate["strata"] if row["stratum"].startswith("unflagged"))


def test_without_a_verdict_the_experts_guesses_plan():
    plan = plan_review(make_mixed_audit(), "judgments", "lenient", 0.4, "precision")
    assert plan["now"]["estimate"] is None
    assert 0 < plan["n_more"] <= 40


def test_the_plan_as_csv_is_that_of_the_page(client):
    audit = judged_audit()
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    said = {"goal": "precision", "width": "0.2", "k": "3"}
    text = client.get(f"/audits/{audit.pk}/plan/", said).content.decode()
    assert "plan.csv?goal=precision&amp;width=0.2&amp;k=3" in text
    saved = client.get(f"/audits/{audit.pk}/plan.csv", said)
    rows = list(csv.DictReader(io.StringIO(saved.content.decode())))
    plan = plan_review(audit, "judgments", "lenient", 0.2, "precision", 3)
    assert rows == [{key: str(value) for key, value in row.items()} for row in plan["strata"]]
    assert client.get(f"/audits/{audit.pk}/plan.csv", said | {"k": "9"}).status_code == 404


def test_what_can_not_be_planned_is_refused():
    audit = make_mixed_audit()
    for width, k, reason in ((0, None, "between 0 and 1"), (0.1, 4, r"k must lie in 1\.\.3")):
        with pytest.raises(PlanRefusedError, match=reason):
            plan_review(audit, "judgments", "lenient", width, "precision", k)
    with pytest.raises(CommandError, match="between 0 and 1"):
        call_command("report", str(audit.pk), "--plan", "2")


def test_the_report_plans_and_chooses_k_for_the_precision_asked_for(capsys):
    audit = judged_audit()
    flags = ["--target", "0.2", "--plan", "0.25", "--plan-for", "detection_rate", "--plan-k", "2"]
    call_command("report", str(audit.pk), *flags, "--json")
    document = json.loads(capsys.readouterr().out)
    assert (document["plan"]["goal"], document["plan"]["k"]) == ("detection_rate", 2)
    described = document["methods"]["calibrated_ensemble"]
    assert described["largest_k"] == {"precision": 0.2, "k": 3}
    slopes = [described["trend"]["slope"][side] for side in ("low", "estimate", "high")]
    assert slopes == sorted(slopes)
    assert 0 < described["trend"]["p_value"] < 1
    call_command("report", str(audit.pk), *flags)
    text = capsys.readouterr().out
    assert "largest k for precision 0.20: 3" in text
    assert "more verdicts make the detection rate of the top 2 bins known to 0.25" in text
    assert np.isfinite(described["trend"]["p_value"])
