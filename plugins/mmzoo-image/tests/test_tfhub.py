"""SavedModels as encoders: frozen and trained ones, their endpoints and outputs, and those that cannot be had."""

import hashlib
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from mmzoo_image.tfhub import TFHub

from mmzoo import StreamError
from mmzoo.testing import EncoderCase, check, properties
from mmzoo.testing import features as known

pytestmark = pytest.mark.slow

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
PICTURES = known(8, 8, 3, dtype="uint8")
KERNEL = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
SHIFT = np.array([1.0, 2.0, 3.0, 4.0], "float32")


class Frozen(tf.Module):
    """Holds constants alone, has no `__call__`, and gives two outputs."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), name="pictures")])
    def answer(self, pictures):
        dense = tf.einsum("bhwc,cd->bhwd", pictures, KERNEL) + SHIFT
        return {"map": dense, "vector": tf.reduce_mean(dense, [1, 2]), "flat": tf.reduce_mean(dense, [1, 2, 3])}

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3), name="one"), tf.TensorSpec((None,), name="other")])
    def two(self, one, other):
        return {"sum": tf.reduce_mean(one, [1, 2]) + other[:, None]}


class Trained(tf.Module):
    """What TF-Hub calls reusable: variables, of which one is held still, and a switch between training and inference."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(KERNEL, name="kernel")
        self.factor = tf.Variable(2.0, trainable=False, name="factor")
        self.shift = tf.constant(SHIFT)

    @tf.function
    def __call__(self, pictures, training=False):
        vector = tf.reduce_mean(pictures, [1, 2]) @ self.kernel * self.factor + self.shift
        return vector * 10 if training else vector


class Looking(tf.Module):
    """Holds a table."""

    def __init__(self):
        super().__init__()
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([0], [1.0]), 0.0)

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3))])
    def __call__(self, pictures):
        return pictures * self.table.lookup(tf.constant(0))


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules")
    frozen = Frozen()
    tf.saved_model.save(frozen, folder / "frozen", signatures={"serving_default": frozen.answer, "two": frozen.two})
    trained = Trained()
    for training in (True, False):
        trained.__call__.get_concrete_function(tf.TensorSpec((None, 8, 8, 3)), training=training)
    tf.saved_model.save(trained, folder / "trained")
    tf.saved_model.save(Looking(), folder / "looking")
    empty = tf.Module()
    empty.number = tf.Variable(1.0)
    tf.saved_model.save(empty, folder / "empty")
    return folder


def mean(pixels, factor=1 / 255, offset=0.0):
    return (pixels * factor + offset).mean((1, 2))


def test_a_reusable_module_is_called_with_pixels_from_0_to_1(modules):
    stream = TFHub(features=PICTURES, module=str(modules / "trained"))(PIXELS)
    assert tuple(stream["tokens"].shape) == (3, 1, 4)
    np.testing.assert_allclose(np.asarray(stream["tokens"])[:, 0], mean(PIXELS) @ KERNEL * 2 + SHIFT, rtol=1e-4)


@pytest.mark.parametrize(("scale", "factor", "offset"), [("signed", 1 / 127.5, -1), ("bytes", 1, 0)])
def test_other_modules_want_other_pixels(modules, scale, factor, offset):
    stream = TFHub(features=PICTURES, module=str(modules / "trained"), scale=scale)(PIXELS)
    expected = mean(PIXELS, factor, offset) @ KERNEL * 2 + SHIFT
    np.testing.assert_allclose(np.asarray(stream["tokens"])[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_module_that_knows_training_is_told(modules):
    encoder = TFHub(features=PICTURES, module=str(modules / "trained"))
    trained, served = (np.asarray(encoder(PIXELS, training=training)["tokens"]) for training in (True, False))
    np.testing.assert_allclose(trained, served * 10, rtol=1e-5)
    encoder.trainable = False  # held still, its batch normalisation must not go on
    np.testing.assert_array_equal(np.asarray(encoder(PIXELS, training=True)["tokens"]), served)


def test_a_signature_and_an_output_are_chosen(modules):
    stream = TFHub(features=PICTURES, module=str(modules / "frozen"), output="map")(PIXELS)
    expected = (PIXELS / 255) @ KERNEL + SHIFT
    np.testing.assert_allclose(stream["tokens"], expected.reshape(3, 64, 4), rtol=1e-4, atol=1e-5)


def test_its_variables_are_trained_as_the_module_and_the_recipe_say(modules):
    encoder = TFHub(features=PICTURES, module=str(modules / "trained"))
    assert [len(encoder.trainable_variables), len(encoder.non_trainable_variables)] == [1, 1]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(encoder(PIXELS)["tokens"])
    gradient = tape.gradient(total, encoder.trainable_variables[0].value)
    np.testing.assert_allclose(gradient, np.repeat(mean(PIXELS).sum(0)[:, None] * 2, 4, 1), rtol=1e-4)
    encoder.trainable = False
    assert encoder.trainable_variables == []


def test_weights_are_saved_and_loaded_with_the_model(modules, tmp_path):
    def model():
        inputs = keras.Input((8, 8, 3))
        return keras.Model(inputs, TFHub(features=PICTURES, module=str(modules / "trained"))(inputs)["tokens"])

    one, other = model(), model()
    for weight in one.weights:
        weight.assign(weight + 1)
    assert not np.allclose(one(PIXELS), other(PIXELS))
    one.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(one(PIXELS), other(PIXELS))


@pytest.mark.parametrize(
    ("module", "options"), [("trained", {}), ("frozen", {"output": "vector"}), ("frozen", {"output": "map"})]
)
def test_it_holds_what_every_encoder_must(modules, module, options):
    case = EncoderCase("tfhub", PICTURES, options={"module": str(modules / module)} | options)
    for one in properties(case):
        check(case, one)


def test_a_handle_is_fetched_once(modules, monkeypatch, tmp_path):
    handle = "https://modules.example/somebody/trained/1"
    kept = tmp_path / hashlib.sha1(handle.encode()).hexdigest()  # where tensorflow-hub keeps what it has fetched
    kept.symlink_to(modules / "trained")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    stream = TFHub(features=PICTURES, module=handle)(PIXELS)
    np.testing.assert_allclose(np.asarray(stream["tokens"])[:, 0], mean(PIXELS) @ KERNEL * 2 + SHIFT, rtol=1e-4)


def test_a_handle_that_cannot_be_fetched_is_said(monkeypatch, tmp_path):
    def unreachable(*args, **kwargs):
        raise OSError("no route to host\nand much more")

    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(StreamError) as raised:
        TFHub(features=PICTURES, module="https://modules.example/somebody/other/1")
    assert str(raised.value) == (
        "the module 'https://modules.example/somebody/other/1' cannot be fetched or read: no route to host. "
        "Check the network, or give a folder that holds a SavedModel."
    )


def test_fetching_without_tensorflow_hub_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_hub", None)
    with pytest.raises(StreamError) as raised:
        TFHub(features=PICTURES, module="https://modules.example/somebody/other/1")
    assert str(raised.value) == (
        "the module 'https://modules.example/somebody/other/1' is not a folder, and fetching it needs tensorflow-hub: "
        "import of tensorflow_hub halted; None in sys.modules. Run pip install 'mmzoo-image[tfhub]'."
    )


def test_another_backend_is_said(modules, monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(StreamError) as raised:
        TFHub(features=PICTURES, module=str(modules / "trained"))
    assert str(raised.value) == (
        "tfhub runs on the TensorFlow backend only, this one is 'jax'. Set KERAS_BACKEND=tensorflow, or choose another encoder."
    )


def test_a_folder_without_a_module_is_said(tmp_path):
    with pytest.raises(StreamError) as raised:
        TFHub(features=PICTURES, module=str(tmp_path))
    assert str(raised.value).startswith(
        f"the module '{tmp_path}' cannot be fetched or read: SavedModel file does not exist at:"
    )


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (
            "trained",
            {"features": known(9, 8, 3)},
            "takes (None, 8, 8, 3) float32, received (None, 9, 8, 3) float32.",
        ),
        ("frozen", {}, "has several outputs. Set `output` to one of: flat, map, vector."),
        ("frozen", {"output": "dense"}, "has no output 'dense'. Set `output` to one of: flat, map, vector."),
        ("frozen", {"output": "flat"}, "returns (None,); expected (batch, dim), (batch, tokens, dim) or a feature map."),
        ("frozen", {"endpoint": "one"}, "has no signature 'one'. Known: serving_default, two."),
        ("looking", {}, "has a lookup table, which cannot be exported. Choose another."),
        ("empty", {}, "has no signature 'serving_default'. It has none."),
    ],
)
def test_a_module_that_does_not_fit_is_said(modules, module, options, message):
    with pytest.raises(StreamError) as raised:
        TFHub(**{"features": PICTURES, "module": str(modules / module)} | options)
    assert str(raised.value) == f"the module '{modules / module}' {message}"


def test_a_signature_of_several_inputs_is_said(modules):
    with pytest.raises(StreamError) as raised:
        TFHub(features=PICTURES, module=str(modules / "frozen"), endpoint="two")
    assert str(raised.value) == (
        f"the signature 'two' of the module '{modules / 'frozen'}' takes one, other; expected pictures only."
    )
