"""The tensor contract: what a stream is, and what is said when a value is none."""

import keras
import numpy as np
import pytest

from mmzoo.contracts.streams import check_stream, describe, make_stream, only_stream, pick_stream, pool, same_dim
from mmzoo.errors import StreamError

TOKENS = np.arange(24, dtype="float32").reshape(2, 3, 4)
MASK = np.array([[True, False, True], [False, False, False]])


def array(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def test_all_tokens_are_real_unless_a_mask_says_otherwise():
    stream = make_stream(keras.ops.convert_to_tensor(TOKENS))
    assert (array(stream["mask"]) == np.ones((2, 3), bool)).all()
    check_stream(stream, "it")


@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_a_mask_becomes_boolean(dtype):
    mask = array(make_stream(TOKENS, keras.ops.convert_to_tensor(MASK.astype(dtype)))["mask"])
    assert mask.dtype == bool
    assert (mask == MASK).all()


def test_a_vector_is_a_stream_of_one_token():
    stream = make_stream(keras.ops.convert_to_tensor(TOKENS[:, 0]))
    assert (array(stream["tokens"]) == TOKENS[:, :1]).all()
    assert array(stream["mask"]).shape == (2, 1)


def test_streams_are_made_of_symbols_too():
    stream = make_stream(keras.KerasTensor((None, 5, 8), "float16"))
    check_stream(stream, "it")
    assert describe(stream) == "{tokens: (batch, 5, 8) float16, mask: (batch, 5) bool}"


def test_pool_averages_the_real_tokens():
    pooled = array(pool(make_stream(keras.ops.convert_to_tensor(TOKENS), MASK)))
    np.testing.assert_allclose(pooled[0], (TOKENS[0, 0] + TOKENS[0, 2]) / 2)
    np.testing.assert_array_equal(pooled[1], np.zeros(4))


@pytest.mark.parametrize("number", [1e6, np.inf, np.nan])
def test_pool_does_not_see_what_is_masked(number):
    loud = np.where(MASK[..., None], TOKENS, number).astype("float32")
    np.testing.assert_array_equal(
        array(pool(make_stream(keras.ops.convert_to_tensor(loud), MASK))),
        array(pool(make_stream(keras.ops.convert_to_tensor(TOKENS), MASK))),
    )


def test_the_only_stream():
    stream = make_stream(TOKENS)
    assert only_stream({"image": stream}, "the head 'h'") is stream


@pytest.mark.parametrize(("names", "text"), [((), "received 0 (none)"), (("image", "text"), "received 2 (image, text)")])
def test_no_stream_or_several(names, text):
    with pytest.raises(StreamError) as raised:
        only_stream(dict.fromkeys(names, make_stream(TOKENS)), "the head 'h'")
    assert str(raised.value) == f"the head 'h' takes one stream, {text}. Add a fusion that joins them."


def test_a_stream_is_picked_by_name():
    stream = make_stream(TOKENS)
    assert pick_stream({"image": stream, "text": {}}, "image", "the head 'h'") is stream
    with pytest.raises(StreamError) as raised:
        pick_stream({"image": stream}, "imag", "the head 'h'")
    assert str(raised.value) == "the head 'h' takes the stream 'imag', which is not there. Nearest: image. Known: image."
    with pytest.raises(StreamError, match=r"takes the stream 'imag', which is not there\.$"):
        pick_stream({}, "imag", "the head 'h'")


def test_streams_of_one_dim():
    assert same_dim({"a": make_stream(TOKENS), "b": make_stream(TOKENS[:, :1])}, "the fusion 'f'") == 4
    with pytest.raises(StreamError) as raised:
        same_dim({"a": make_stream(TOKENS), "b": make_stream(TOKENS[..., :2])}, "the fusion 'f'")
    what = "the fusion 'f' takes streams of the same dim, but a has 4, b has 2."
    assert str(raised.value) == f"{what} Set it in their encoders, or add a fusion that projects them."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (TOKENS, "must give a stream of 'tokens' and 'mask', received (batch, 3, 4) float32."),
        ({"tokens": TOKENS}, "must give a stream of 'tokens' and 'mask', received {tokens: (batch, 3, 4) float32}."),
        (None, "must give a stream of 'tokens' and 'mask', received None."),
    ],
)
def test_what_is_no_stream(value, text):
    with pytest.raises(StreamError) as raised:
        check_stream(value, "the encoder 'e'")
    text = text.replace("batch", "2")
    assert str(raised.value) == f"the encoder 'e' {text}"


@pytest.mark.parametrize(
    ("tokens", "mask"),
    [
        (TOKENS[0], MASK[0]),
        (TOKENS, MASK[:, :2]),
        (TOKENS, MASK.astype("float32")),
        (TOKENS, MASK[..., None]),
        (TOKENS.astype("int32"), MASK),
    ],
)
def test_a_stream_that_breaks_the_contract(tokens, mask):
    expected = (
        "the encoder 'e' must give floating-point tokens (batch, tokens, dim) and a boolean mask (batch, tokens), "
        f"received tokens {describe(tokens)} and mask {describe(mask)}."
    )
    with pytest.raises(StreamError) as raised:
        check_stream({"tokens": tokens, "mask": mask}, "the encoder 'e'")
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (keras.KerasTensor((None, None, 8), "int32"), "(batch, any, 8) int32"),
        ([keras.KerasTensor((None,)), 3], "[(batch) float32, 3]"),
        ({"a": (keras.KerasTensor((2, 1)),)}, "{a: [(2, 1) float32]}"),
        ("x", "'x'"),
    ],
)
def test_nests_of_tensors_in_words(value, text):
    assert describe(value) == text
