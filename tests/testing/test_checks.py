"""The conformance kit's tests: one for each property of each case."""

import pytest

from mmzoo.testing import EncoderCase, MetricCase, ProcessorCase, conformance, features, properties

METRIC = MetricCase("broken", [], [])


def test_a_test_for_each_property():
    skipped = EncoderCase(
        "x", features(6, dtype="int32", vocabulary=11), skip={"batch": "it compares the examples"}, label="small"
    )
    marks = conformance(skipped, METRIC).pytestmark
    parameters = {parameter.id: parameter.marks for parameter in marks[0].args[1]}
    assert list(parameters)[:4] == [
        "encoder-x-small-options",
        "encoder-x-small-config",
        "encoder-x-small-shapes",
        "encoder-x-small-mask",
    ]
    assert list(parameters)[-4:] == [f"metric-broken-{name}" for name in ("options", "order", "empty", "result")]
    assert parameters["encoder-x-small-batch"][0].kwargs == {"reason": "it compares the examples"}


def test_properties_that_do_not_apply():
    assert "mask" not in properties(EncoderCase("x", features(8, 8, 3)))
    assert "faults" not in properties(ProcessorCase("x", ["a"]))


def test_skipping_what_is_no_property():
    with pytest.raises(
        ValueError, match=r"metric-broken: skip names no property: \['odrer'\]; expected options, order, empty, result\."
    ):
        conformance(MetricCase("broken", [], [], skip={"odrer": "why"}))
