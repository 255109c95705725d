"""The example of docs/explanation/cascade.md is run as it is, on a table that the site exports."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from reviews.routing_tables import write_routing_table
from scoring.cascade import Cascade
from scoring.expert_answers import answer_items
from scoring.routing import FORMAT, RoutingTable, load_routing_table
from tests.reviews.test_cascade_command import logits_of, make_audit_of, make_scored_dataset
from tests.reviews.test_cascade_page import measured

pytestmark = pytest.mark.django_db
DOCS = Path(__file__).parents[2] / "docs" / "explanation" / "cascade.md"


def test_the_documented_lines_give_the_cascades_answers(tmp_path, monkeypatch, capsys):
    audit = make_audit_of(make_scored_dataset(), "small", "large")
    row = measured(audit)
    (tmp_path / "routing-table.json").write_text(json.dumps(write_routing_table(row)))
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    small, large = (logits_of(audit.dataset, name) for name in ("small", "large"))
    asked = []

    def large_model(items):
        asked.append(items)
        return large[items]

    here = {"small_model": small.__getitem__, "large_model": large_model, "inputs": np.arange(400)}
    exec(code, here)  # noqa: S102 - our own documentation
    cascade = Cascade.from_json(row.document["cascade"])
    confidence = answer_items(small, cascade.small_calibrator).confidence
    by_small = cascade.route(confidence)
    expected = np.where(by_small, small.argmax(axis=1), large.argmax(axis=1))
    np.testing.assert_array_equal(here["answers"], expected)
    np.testing.assert_array_equal(asked[0], np.flatnonzero(~by_small))
    assert "small answers what it may, large the rest" in capsys.readouterr().out


@pytest.mark.parametrize(
    "stored", ["[]", "{}", '{"format": "other"}', "not JSON", f'{{"format": "{FORMAT}"}}']
)
def test_what_was_not_exported_as_a_table_is_refused(tmp_path, stored):
    path = tmp_path / "table.json"
    path.write_text(stored)
    with pytest.raises(ValueError, match="routing table"):
        load_routing_table(path)


def test_rows_that_are_not_finite_go_to_the_large_model_and_scores_have_their_own_way():
    plain = Cascade((0.5,), (0.3, -0.2), 1).to_json()
    table = RoutingTable.from_json(
        {"format": FORMAT, **plain, "experts": {"small": "a", "large": "b"}}
    )
    logits = np.array([[9.0, 0.0], [np.nan, 0.0], [0.1, 0.0]])
    assert table.keeps(logits).tolist() == [True, False, True]
    assert table.keeps_scores([0.4, 0.6, np.nan]).tolist() == [False, True, False]
