"""What the queue explorer tells from people's verdicts, and the planner's part of its neighbour."""

import pytest
from django.urls import reverse

from audit.models import Role
from reviews.models import SampledClass
from reviews.plans import plan_review
from reviews.report_cache import find_report
from reviews.services.sampling import freeze_sample
from tests.factories import make_member
from tests.reviews.situations import judge, judge_truthfully, make_mixed_audit, make_wide_audit

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit():
    return make_mixed_audit()


@pytest.fixture
def maintainer(audit, client):
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    return client


def test_each_k_is_worth_what_the_report_says(audit, maintainer):
    sample = freeze_sample(audit, size=50, unflagged=20)
    judge(sample, {0: "wrong_label", 1: "wrong_label", 10: "label_correct"})
    told = maintainer.get(reverse("reviews:queue_figures", args=[audit.pk])).json()
    points = find_report(audit, "judgments", "lenient")["methods"]["calibrated_ensemble"]["points"]
    assert [point["precision"] for point in told["points"]] == [
        each["precision"] for each in points
    ]
    assert [point["flagged"] for point in told["points"]] == [10, 20, 40]
    assert told["judged"] == 3
    # Three verdicts at once: only the first was looked at, for its 1.5 seconds.
    assert told["seconds"] == pytest.approx(1.5 / 3, abs=0.2)


def test_without_verdicts_nothing_is_said_of_cost_or_precision(audit, maintainer):
    told = maintainer.get(reverse("reviews:queue_figures", args=[audit.pk])).json()
    assert (told["judged"], told["seconds"]) == (0, None)


def test_an_item_is_told_with_clean_examples_never_itself_and_its_verdicts(audit, maintainer):
    sample = freeze_sample(audit, size=50, unflagged=20)
    item = audit.dataset.items.get(position=0)
    others = list(audit.dataset.items.filter(position__gte=100).values_list("pk", flat=True)[:5])
    SampledClass.objects.filter(sample=sample, index=item.given_label).update(
        exemplars=[item.pk, *others]
    )
    judge(sample, {0: "sub_class"})
    answer = maintainer.get(reverse("reviews:queue_told", args=[audit.pk, item.pk]))
    told = answer.context["told"]
    assert told.cards[0].index == item.given_label
    assert told.cards[0].exemplars == tuple(others[:3])
    assert told.cards[1].index == (item.given_label + 1) % 3
    assert len(told.verdicts) == 1
    assert "sub-class" in answer.content.decode().lower()


@pytest.mark.parametrize("end", ["queue/figures.json", "queue/{item}/told/", "plan/", "queue.csv"])
def test_annotators_never_see_it(audit, client, end):
    client.force_login(make_member(audit.dataset.project, Role.ANNOTATOR))
    item = audit.dataset.items.first()
    assert client.get(f"/audits/{audit.pk}/{end.format(item=item.pk)}").status_code == 404


def test_the_plan_on_the_page_is_that_of_the_command(client):
    audit = make_wide_audit(n_items=1500)
    sample = freeze_sample(audit, size=100, unflagged=50)
    judge_truthfully(sample)
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    query = {"goal": "detection_rate", "k": 15, "width": 0.05}
    answer = client.get(reverse("reviews:curves_plan", args=[audit.pk]), query)
    assert answer.context["plan"] == plan_review(
        audit, "judgments", "lenient", 0.05, "detection_rate", 15
    )
    assert answer.context["plan"]["n_more"] > 0
    assert "it can't grow" in answer.content.decode()


@pytest.mark.parametrize("query", [{}, {"goal": "x"}, {"goal": "precision", "k": 99, "width": 0.1}])
def test_a_plan_that_makes_no_sense_is_refused_in_words(audit, maintainer, query):
    answer = maintainer.get(reverse("reviews:curves_plan", args=[audit.pk]), query)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()


def shown_positions(client, audit, **query):
    shown = client.get(reverse("audit:queue", args=[audit.pk]), query).context["shown"]
    return [entry.flag.item.position for entry in shown]


def test_the_queue_is_filtered_by_what_people_said(audit, maintainer):
    sample = freeze_sample(audit, size=50, unflagged=20)
    judge(sample, {0: "wrong_label", 1: "unsure", 2: "wrong_label", 3: "label_correct"})
    assert shown_positions(maintainer, audit, verdict="wrong_label") == [0, 2]
    assert shown_positions(maintainer, audit, verdict="judged") == [0, 1, 2, 3]
    assert shown_positions(maintainer, audit, verdict="unjudged") == list(range(4, 40))
    assert len(shown_positions(maintainer, audit, verdict="magic")) == 40


def test_the_saved_list_keeps_the_verdict_that_was_asked_for(audit, maintainer):
    judge(freeze_sample(audit, size=50, unflagged=20), {0: "wrong_label", 5: "label_correct"})
    address = reverse("audit:queue_csv", args=[audit.pk])
    answer = maintainer.get(address, {"verdict": "label_correct"})
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == ["00005.png"]
