"""What is served: an answer for each row of a batch, whatever the other rows are."""

import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from mmzoo import FeatureSpec, MmzooError, Processed, Processor, Signature, no_faults
from mmzoo.serving.raw_values import _padded
from mmzoo.serving.served import Served
from mmzoo.trained import Model
from mmzoo.training.process import unchanged

LETTERS = np.array(["", "a", "b", "c"])


class Digit(Processor):
    """Reads a digit, and turns ids into letters."""

    modality = "text"

    features = FeatureSpec(shape=[], dtype="int32", vocabulary=4)

    def __call__(self, raw):
        good = tf.strings.regex_full_match(raw, "[0-3]")
        digits = tf.strings.to_number(tf.where(good, raw, "0"), tf.int32)
        return Processed(digits, tf.where(good, "", tf.strings.join(["no digit: '", raw, "'"])))

    def decode(self, values):
        return tf.strings.reduce_join(tf.gather(tf.constant(LETTERS), values), axis=-1)

    def tokens(self, ids):
        return tf.gather(tf.constant(LETTERS), ids)


class Real(Processor):
    """Passes numbers on."""

    modality = "vector"

    raw = tf.TensorSpec((2,), tf.float32)
    features = FeatureSpec(shape=[2], dtype="float32", vocabulary=None)

    def __call__(self, raw):
        return Processed(raw, no_faults(raw))


def served_by(processors=None, **signatures: Signature) -> Served:
    """Serves signatures whose streams are the features themselves."""
    head = SimpleNamespace(gallery=None, aliases={})
    policy = keras.DTypePolicy("float32")
    task = SimpleNamespace(variables=[], signatures=lambda: signatures, streams=without_masks, head=head, dtype_policy=policy)
    return Served(task, processors or {"first": Digit(), "second": Digit()})


def without_masks(features, apart):
    return {name: value for name, value in features.items() if "@" not in name}


def numpy(outputs) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in outputs.items()}


# A whole task, as it is built from a recipe


def pictures(served_toy, count: int) -> tf.Tensor:
    return next(iter(served_toy.data.raw_batches("test", count)))["image"]


def gelu(values):
    return values * (1 + np.vectorize(math.erf)(values / math.sqrt(2))) / 2


def test_the_answer_is_what_the_weights_say(served_toy):
    raw = pictures(served_toy, 5)
    kernel, bias, hidden, second, scores, third = (np.asarray(v.value, "float64") for v in served_toy.task.variables[:6])
    pixels = np.stack([tf.io.decode_bmp(one).numpy() for one in raw.numpy()]).astype("float64")
    logits = gelu(gelu(pixels.reshape(5, -1) / 255 @ kernel + bias) @ hidden + second) @ scores + third
    share = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    order = np.argsort(-share, axis=-1)[:, :3]
    labels = sorted({value for values in served_toy.data.references("train", "answer") for value in values})
    answers = numpy(served_toy.served.functions["answer"](raw))
    assert sorted(answers) == ["answer", "ok", "reason", "score", "top"]
    np.testing.assert_allclose(answers["score"], np.take_along_axis(share, order, -1), rtol=1e-4)
    assert [[one.decode() for one in row] for row in answers["top"]] == [[labels[i] for i in row] for row in order]
    assert [one.decode() for one in answers["answer"]] == [labels[row[0]] for row in order]
    assert answers["ok"].all()
    assert set(answers["reason"]) == {b""}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", b"image: this is no BMP picture of 9 by 9 pixels"),
        (b"nonsense", b"image: this is no BMP picture of 9 by 9 pixels"),
        (b"BM" + bytes(30), b"image: this is no BMP picture of 9 by 9 pixels"),
    ],
)
def test_a_bad_picture_spoils_its_own_row_alone(served_toy, bad, reason):
    answer = served_toy.served.functions["answer"]
    good = pictures(served_toy, 3)
    clean, mixed = numpy(answer(good)), numpy(answer(tf.stack([good[0], bad, good[2]])))
    assert mixed["ok"].tolist() == [True, False, True]
    assert mixed["reason"].tolist() == [b"", reason, b""]
    for name, values in mixed.items():
        assert (values[[0, 2]] == clean[name][[0, 2]]).all(), name  # bit for bit


def test_an_answer_does_not_depend_on_the_batch_and_there_may_be_none(served_toy):
    answer, good = served_toy.served.functions["answer"], pictures(served_toy, 3)
    together, alone = numpy(answer(good)), numpy(answer(good[1:2]))
    for name, values in alone.items():
        assert len(values) == 1
        same = np.testing.assert_allclose if values.dtype == "float32" else np.testing.assert_array_equal
        same(values[0], together[name][1])
    none = numpy(answer(good[:0]))
    assert {name: values.shape for name, values in none.items()} == {
        "answer": (0,), "top": (0, 3), "score": (0, 3), "ok": (0,), "reason": (0,),
    }  # fmt: skip


@pytest.mark.parametrize("values", [0, 2])
def test_a_signature_that_cannot_take_no_rows_answers_them_with_none(values):
    def answer(streams):
        pictures = ops.reshape(ops.cast(streams["first"], "float32"), (-1, 1, 1, 1)) + np.ones((1, 32, 32, 3), "float32")
        return {"own": ops.conv(pictures, np.ones((8, 8, 3, 4), "float32"), 8, "valid") * np.ones(4, "float32")}

    reads = {"others": "second"}
    say = Signature(lambda streams, seed: answer(streams), inputs=("first", "others", "seed"), seed="seed", reads=reads)
    served = served_by(say=say)
    found = numpy(served.functions["say"](tf.zeros([0], tf.string), tf.zeros([0, values], tf.string), tf.zeros([0], tf.int64)))
    assert {name: values.shape for name, values in found.items()} == {"own": (0, 4, 4, 4), "ok": (0,), "reason": (0,)}


# What a signature may ask for


def test_every_fault_of_a_row_is_said_with_its_input():
    served = served_by(say=Signature(lambda streams: {"sum": streams["first"] + streams["second"]}, inputs=("first", "second")))
    answers = numpy(served.functions["say"](tf.constant(["1", "x", "y"]), tf.constant(["2", "1", "z"])))
    assert answers["sum"].tolist() == [3, 1, 0]
    assert answers["ok"].tolist() == [True, False, False]
    assert answers["reason"].tolist() == [b"", b"first: no digit: 'x'", b"first: no digit: 'y' second: no digit: 'z'"]


def test_an_absent_input_is_no_fault_as_long_as_another_is_there():
    both = Signature(lambda streams: {"first": streams["first"]}, inputs=("first", "second"))
    needing = Signature(lambda streams: {"first": streams["first"]}, inputs=("first", "second"), needs=("second",))
    served = served_by(both=both, needing=needing)
    raw = tf.constant(["1", "", ""]), tf.constant(["", "2", ""])
    nothing = b"first: no digit: '' second: no digit: ''"
    assert numpy(served.functions["both"](*raw))["reason"].tolist() == [b"", b"", nothing]
    second, first = b"second: no digit: ''", b"first: no digit: ''"
    assert numpy(served.functions["needing"](*raw))["reason"].tolist() == [second, first, nothing]


def test_a_model_takes_an_input_that_is_left_out_as_absent():
    both = Signature(lambda streams: {"first": streams["first"]}, inputs=("first", "second"))
    needing = Signature(lambda streams: {"first": streams["first"]}, inputs=("first", "second"), needs=("second",))
    plan = SimpleNamespace(encoders={"first": None, "second": None})
    model = Model(plan, None, None, served_by(both=both, needing=needing))
    assert model.predict(second=["1", "2"])["reason"].tolist() == [b"", b""]
    for asked, needed in (("first", "second"), ("second", "first")):
        with pytest.raises(MmzooError, match=f"^the signature 'needing' needs {needed}, each with one or more values\\.$"):
            model.predict("needing", **{asked: ["1"]})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"first": "1"}, "first: expected a list of string, one for each example; received str."),
        ({"first": [1]}, "first: expected a list of string, one for each example; received list of int."),
        ({"first": [["1"]]}, "first: expected a list of string, one for each example; received list of list of str."),
        (
            {"first": ["1"], "second": ["1", "2"]},
            "expected the same number of values for each input; first has 1, second has 2.",
        ),
    ],
)
def test_what_a_model_cannot_take_is_said(asked, message):
    both = Signature(lambda streams: {"first": streams["first"]}, inputs=("first", "second"))
    model = Model(SimpleNamespace(encoders={"first": None, "second": None}), None, None, served_by(both=both))
    with pytest.raises(MmzooError) as raised:
        model.predict(**asked)
    assert str(raised.value) == message


def test_lists_of_unequal_length_are_filled_up_with_what_is_empty():
    spec = tf.TensorSpec((None, None), tf.string)
    made = _padded("words", [["a"], ["b", "c"], []], spec)
    assert made.numpy().tolist() == [[b"a", b""], [b"b", b"c"], [b"", b""]]
    assert _padded("words", [], spec).shape == (0, 0)
    for wrong in (["a", "b"], "a", [["a"], [["b"]]], [[["a"]]]):
        with pytest.raises(MmzooError, match=r"^words: expected a list of lists of string, one for each example; received ."):
            _padded("words", wrong, spec)


def test_a_task_is_told_what_is_there():
    seen = {}

    def streams(features, apart):
        seen.update(features)
        return without_masks(features, apart)

    say = Signature(lambda streams: {"one": streams["first"]}, inputs=("first", "second"))
    head = SimpleNamespace(gallery=None, aliases={})
    policy = keras.DTypePolicy("float32")
    task = SimpleNamespace(variables=[], head=head, streams=streams, signatures=lambda: {"say": say}, dtype_policy=policy)
    Served(task, {"first": Digit(), "second": Digit()}).outputs("say")
    assert {name for name in seen if "@" in name} == {"first@mask", "second@mask"}
    assert seen["first@mask"].dtype == tf.bool


def test_each_signature_takes_its_own_inputs_in_their_order_and_the_first_is_the_default():
    served = served_by(
        two=Signature(lambda streams: {"first": streams["first"]}, inputs=("second", "first")),
        one=Signature(lambda streams: {"had": ops.full_like(streams["second"], len(streams))}, inputs=("second",)),
    )
    assert served.default == "two"
    assert [spec.name for spec in served.functions["two"].input_signature] == ["second", "first"]
    assert served.functions["two"](tf.constant(["1"]), tf.constant(["2"]))["first"].numpy().tolist() == [2]
    assert served.functions["one"](tf.constant(["1"]))["had"].numpy().tolist() == [1]


def test_an_input_is_a_batch_of_what_its_processor_reads():
    served = served_by({"real": Real(), "digit": Digit()}, say=Signature(dict, inputs=("real", "digit")))
    assert served.spec("real") == tf.TensorSpec((None, 2), tf.float32, name="real")
    assert served.spec("digit") == tf.TensorSpec((None,), tf.string, name="digit")
    assert tuple(served.functions["say"].input_signature) == (served.spec("real"), served.spec("digit"))


class Pair(Digit):
    """Reads two digits."""

    features = FeatureSpec(shape=[2], dtype="int32", vocabulary=4)

    def __call__(self, raw):
        digits = tf.strings.to_number(tf.strings.bytes_split(raw).to_tensor("0", shape=[None, 2]), tf.int32)
        return Processed(digits, no_faults(raw))


def test_the_tokens_of_an_input_are_returned_where_the_head_gives_none():
    own = {"tokens": "first", "lost": "second"}
    served = served_by(
        {"first": Pair(), "second": Real()},
        say=Signature(lambda streams: {"sum": ops.sum(streams["first"], axis=1)}, tokens=own, inputs=("first", "second")),
        other=Signature(lambda streams: {"tokens": 0 * streams["first"] + 3}, tokens=own, inputs=("first",)),
    )
    answers = numpy(served.functions["say"](tf.constant(["12", "30"]), tf.zeros((2, 2))))
    assert sorted(answers) == ["ok", "reason", "sum", "tokens"]  # `Real` has no tokens
    assert answers["tokens"].tolist() == [[b"a", b"b"], [b"c", b""]]
    assert answers["sum"].tolist() == [3, 3]
    assert numpy(served.functions["other"](tf.constant(["12"])))["tokens"].tolist() == [[b"c", b"c"]]


def test_ids_are_decoded_by_the_processor_that_is_named():
    def answer(streams):
        ids = ops.stack([streams["first"], 0 * streams["first"] + 2], axis=1)
        return {"text": ids, "words": ids, "ids": ids}

    signature = Signature(answer, decode={"text": "second"}, tokens={"words": "second"}, inputs=("first",))
    answers = numpy(served_by(say=signature).functions["say"](tf.constant(["1", "3"])))
    assert answers["text"].tolist() == [b"ab", b"cb"]
    assert answers["words"].tolist() == [[b"a", b"b"], [b"c", b"b"]]
    assert answers["ids"].tolist() == [[1, 2], [3, 2]]


@pytest.mark.parametrize(
    ("dtype", "served"),
    [("float16", "float32"), ("bfloat16", "float32"), ("float64", "float64"), ("int32", "int32"), ("bool", "bool")],
)
def test_numbers_that_json_does_not_know_become_float32(dtype, served):
    signature = Signature(lambda streams: {"out": ops.cast(streams["first"], dtype)}, inputs=("first",))
    out = served_by(say=signature).functions["say"](tf.constant(["0", "1"]))["out"]
    assert out.dtype.name == served
    assert out.numpy().tolist() == [0, 1]


def test_a_task_is_served_by_tensorflow_alone(monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="served by the TensorFlow backend; reopen its run there"):
        served_by(say=Signature(dict))


def test_what_is_traced_later_does_not_ask_what_the_process_has_set_meanwhile():
    seen = []

    def answer(streams):
        seen.append((keras.config.floatx(), keras.config.dtype_policy().name, keras.config.image_data_format()))
        return {"out": streams["first"]}

    served = served_by(say=Signature(answer, inputs=("first",)))
    with unchanged():
        keras.config.set_floatx("float16")
        keras.config.set_dtype_policy("mixed_bfloat16")
        keras.config.set_image_data_format("channels_first")
        served.predict("say", ["1"])
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert seen == [("float32", "float32", "channels_last")]
