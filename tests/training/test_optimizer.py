"""Keras' own optimizers and schedules by their identifiers, with what the recipe's training adds to them."""

import inspect
import math
import re

import keras
import numpy as np
import pytest

from mmzoo.recipe.optimizer_options import check_optimizers
from mmzoo.recipe.settings import Train
from mmzoo.recipe.source import parse_recipe, to_node
from mmzoo.training.optimizer import make_optimizer

NAMES = {
    name: value
    for name, value in vars(keras.optimizers).items()
    if inspect.isclass(value) and issubclass(value, keras.optimizers.Optimizer) and not name.endswith("Optimizer")
}
SCHEDULES = {
    "constant": None,
    "cosine_decay": {"initial_learning_rate": 0.1},
    "CosineDecay": {"initial_learning_rate": 0.1, "alpha": 0.1},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 10},
    "exponential_decay": {"initial_learning_rate": 0.1, "decay_rate": 0.5},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_rate": 0.5},
    "polynomialdecay": {"initial_learning_rate": 0.1},
    "PiecewiseConstantDecay": {"boundaries": [5], "values": [0.1, 0.01]},
}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def said(yaml: str, **train) -> str:
    node = parse_recipe(f"optimizer: {yaml}", "r.yaml").root
    return "\n".join(map(str, check_optimizers(node, Train(**node.plain(), **train))))


def rate(optimizer, step: int) -> float:
    """Gives the learning rate of a step."""
    schedule = optimizer._learning_rate
    return float(schedule(step))


def test_keras_has_the_optimizers_that_are_tested():
    assert {"AdamW", "SGD", "RMSprop", "Lion", "Muon"} <= set(NAMES)


@pytest.mark.parametrize("spell", [str, str.lower, snake])
@pytest.mark.parametrize("name", NAMES)
def test_every_keras_optimizer_by_any_of_its_names(name, spell):
    assert said(spell(name)) == ""
    optimizer = make_optimizer(Train(optimizer={"type": spell(name), "learning_rate": 0.25}), 10)
    assert isinstance(optimizer, NAMES[name])
    assert float(optimizer.learning_rate) == 0.25


@pytest.mark.parametrize("name", [name for name in SCHEDULES if SCHEDULES[name]])
def test_every_keras_schedule(name):
    schedule = {"type": name, **SCHEDULES[name]}
    assert said(f"{{type: adam, learning_rate: {schedule}}}".replace("'", "")) == ""
    optimizer = make_optimizer(Train(optimizer={"type": "adam", "learning_rate": schedule}), 100)
    assert rate(optimizer, 0) == pytest.approx(0.1)


def test_the_schedules_tested_are_all_that_keras_has():
    found = {name.lower() for name in vars(keras.optimizers.schedules) if name[:1].isupper()} - {"learningrateschedule"}
    assert {name.replace("_", "").lower() for name, options in SCHEDULES.items() if options} == found


def test_decay_steps_left_out_are_the_whole_training():
    options = {"type": "cosine_decay", "initial_learning_rate": 1.0}
    made = make_optimizer(Train(optimizer={"type": "sgd", "learning_rate": options}), 200)
    for step in (0, 50, 100, 200):
        assert rate(made, step) == pytest.approx(0.5 * (1 + math.cos(math.pi * step / 200)), abs=1e-6)


def test_warm_up_is_part_of_the_training():
    options = {"type": "cosine_decay", "initial_learning_rate": 0.0, "warmup_target": 1.0, "warmup_steps": 50}
    made = make_optimizer(Train(optimizer={"type": "sgd", "learning_rate": options}), 200)
    assert rate(made, 25) == pytest.approx(0.5)
    assert rate(made, 50) == pytest.approx(1.0)
    assert rate(made, 125) == pytest.approx(0.5)
    assert rate(made, 200) == pytest.approx(0.0, abs=1e-6)


def test_decay_steps_given_are_kept():
    options = {"type": "polynomial_decay", "initial_learning_rate": 1.0, "end_learning_rate": 0.0, "decay_steps": 10}
    made = make_optimizer(Train(optimizer={"type": "sgd", "learning_rate": options}), 1000)
    assert rate(made, 5) == pytest.approx(0.5)


def test_a_training_shorter_than_its_warm_up_is_made():
    options = {"type": "cosine_decay", "initial_learning_rate": 0.0, "warmup_target": 1.0, "warmup_steps": 50}
    assert make_optimizer(Train(optimizer={"type": "sgd", "learning_rate": options}), 10)


def test_what_the_training_adds():
    made = make_optimizer(Train(optimizer="sgd", global_clipnorm=2.0, gradient_accumulation_steps=3), 10)
    assert (made.global_clipnorm, made.gradient_accumulation_steps, made.use_ema) == (2.0, 3, False)
    plain = make_optimizer(Train(optimizer="sgd"), 10)
    assert (plain.global_clipnorm, plain.gradient_accumulation_steps, plain.use_ema) == (None, None, False)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_average_of_the_weights_counts_updates(accumulate):
    made = make_optimizer(Train(optimizer="sgd", ema_momentum=0.9, gradient_accumulation_steps=accumulate), 10)
    assert made.use_ema
    assert made.ema_momentum**accumulate == pytest.approx(0.9)


def test_the_plans_options_are_left_as_they_are():
    schedule = {"type": "cosine_decay", "initial_learning_rate": 1.0}
    optimizer = {"type": "adamw", "learning_rate": schedule}
    make_optimizer(Train(optimizer=optimizer, global_clipnorm=1.0), 10)
    assert optimizer == {"type": "adamw", "learning_rate": {"type": "cosine_decay", "initial_learning_rate": 1.0}}


def test_an_absent_optimizer_is_the_default():
    assert check_optimizers(to_node({}, "train", "train"), Train()) == []


@pytest.mark.parametrize(
    ("yaml", "text"),
    [
        ("adamm", "r.yaml:1:12  optimizer: Keras has no optimizer 'adamm'.\n  Nearest: adam, "),
        ("{learning_rate: 1}", "r.yaml:1:12  optimizer: the key 'type' is missing; it names the Keras optimizer."),
        ("{type: [adam]}", "r.yaml:1:19  optimizer.type: Keras has no optimizer '['adam']'."),
        ("{type: adam, beta1: 0.5}",
         "r.yaml:1:25  optimizer.beta1: Keras' optimizer 'adam' has no such option.\n  Nearest: beta_1, "),
        ("{type: adam, kwargs: 1}", "r.yaml:1:25  optimizer.kwargs: Keras' optimizer 'adam' has no such option."),
        ("{type: sgd, global_clipnorm: 1}", "r.yaml:1:24  optimizer.global_clipnorm: set `train.global_clipnorm` instead."),
        ("{type: sgd, use_ema: true}", "r.yaml:1:24  optimizer.use_ema: set `train.ema_momentum` instead."),
        ("{type: sgd, learning_rate: cosine}",
         "r.yaml:1:39  optimizer.learning_rate: Keras has no schedule 'cosine'.\n  Nearest: cosinedecay"),
        ("{type: sgd, learning_rate: {type: cosine_decay, steps: 3}}",
         "r.yaml:1:60  optimizer.learning_rate.steps: Keras' schedule 'cosine_decay' has no such option."),
        ("{type: sgd, learning_rate: {initial_learning_rate: 1}}",
         "r.yaml:1:39  optimizer.learning_rate: the key 'type' is missing; it names the Keras schedule."),
        ("{type: sgd, learning_rate: exponential_decay}", "r.yaml:1:12  optimizer: Keras cannot make this optimizer: "),
        ("{type: sgd, momentum: 3}",
         "r.yaml:1:12  optimizer: Keras cannot make this optimizer: `momentum` must be a float between [0, 1]."),
        ("3", "r.yaml:1:12  optimizer: Keras has no optimizer '3'."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_optimizer(yaml, text):
    assert said(yaml).startswith(text)


def test_each_player_is_updated_by_its_own_optimizer_as_if_it_were_alone():
    rng = np.random.default_rng(0)
    layers = {name: keras.layers.Dense(3) for name in ("generator", "discriminator")}
    for layer in layers.values():
        layer.build((None, 2))
    free = keras.Variable(np.ones(3, "float32"))  # of no player, so it goes with the first one
    optimizers = {"generator": {"type": "adam", "learning_rate": 0.1}, "discriminator": {"type": "sgd", "learning_rate": 0.5}}
    made = make_optimizer(Train(optimizers=optimizers), 10, {name: [layer] for name, layer in layers.items()})
    variables = [free, *(one for layer in layers.values() for one in layer.trainable_variables)]
    copies = [keras.Variable(one.numpy()) for one in variables]
    alone = [(keras.optimizers.Adam(0.1), copies[:3]), (keras.optimizers.SGD(0.5), copies[3:])]

    made.build(variables)
    for _ in range(3):
        gradients = [keras.ops.convert_to_tensor(rng.normal(size=one.shape), "float32") for one in variables]
        made.apply(gradients, variables)
        alone[0][0].apply(gradients[:3], alone[0][1])
        alone[1][0].apply(gradients[3:], alone[1][1])

    for found, expected in zip(variables, copies, strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)
    assert int(made.iterations) == 3


def test_a_frozen_variable_of_a_player_stays():
    layer = keras.layers.Dense(2)
    layer.build((None, 2))
    made = make_optimizer(Train(optimizers={"generator": "sgd"}), 10, {"generator": [layer]})
    made.build(layer.trainable_variables)
    made.frozen_ids = frozenset([id(layer.kernel)])
    before = layer.kernel.numpy()
    made.apply([keras.ops.ones_like(one) for one in layer.trainable_variables], layer.trainable_variables)
    np.testing.assert_array_equal(layer.kernel.numpy(), before)
    assert np.all(layer.bias.numpy() != 0)


def test_the_optimizers_of_several_players_are_checked_each():
    text = said_of("optimizers: {generator: adamm, discriminator: {type: sgd, learning_rat: 1}}")
    assert "optimizers.generator: Keras has no optimizer 'adamm'." in text
    assert "optimizers.discriminator.learning_rat: Keras' optimizer 'sgd' has no such option." in text


def test_one_optimizer_beside_several_is_refused():
    text = said_of("optimizer: sgd\noptimizers: {generator: adam}")
    assert text == "r.yaml:1:1  optimizer: `optimizers` is there too, which stands instead of it. Remove one of the two."


@pytest.mark.parametrize("optimizers", [{}, {"generator": "adam"}])
def test_a_saved_plan_has_the_defaults_too(optimizers):
    train = Train(optimizers=optimizers)
    assert check_optimizers(to_node(vars(train), "train", "train"), train) == []


def said_of(yaml: str) -> str:
    node = parse_recipe(yaml, "r.yaml").root
    return "\n".join(map(str, check_optimizers(node, Train(**node.plain()))))
