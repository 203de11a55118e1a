"""The networks, losses and penalties on Keras' JAX backend: tests of other files, run in one process."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = [
    "test_input_gradients.py::test_a_penalty_and_its_gradients_of_the_weights_are_right",
    "test_input_gradients.py::test_a_penalty_in_a_compiled_step_stores_the_state_of_the_layers[options2]",
    "test_spectral.py::test_the_gradient_passes_through_the_norm_and_the_state_is_stored_in_a_compiled_step",
    "test_generators.py::test_attention_is_its_formula",
    "test_generators.py::test_upsampling_repeats_pixels_before_the_convolution",
    "test_diff_augment.py::test_only_what_is_left_has_a_gradient",
    "test_adversary.py::test_the_memory_is_kept_in_a_compiled_training_step",
    "test_adversarial_losses.py::test_the_discriminators_loss_is_its_formula[True-True-hinge]",
]


def test_the_same_on_jax(passes_on_jax):
    passes_on_jax(Path(__file__).parent, TESTS)
