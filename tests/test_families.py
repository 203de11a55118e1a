"""The frame takes every family as it is: toys of three, from a recipe to served answers, trained on TensorFlow and on JAX."""

import json
import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import mmzoo
from mmzoo.build import evaluate, finish
from mmzoo.contracts.progress import Screen
from mmzoo.run.folder import Run

pytestmark = pytest.mark.slow

TOYS = Path(__file__).with_name("toys").absolute()
LEARNED = {
    "matching": "toy_info_nce",
    "answering": "toy_cross_entropy",
    "generating": "toy_believe_fooling",  # in the beginning the generator wins; the discriminator's losses pull against it
}
FAMILIES = list(LEARNED)
BACKENDS = ("tensorflow", "jax")


@pytest.fixture(scope="module")
def jax(toy_world, asked_here):
    """Trains the toys on JAX in one process; gives what it says, and the toys' runs beside `toy_world`."""
    recipes = [str(TOYS / f"{family}.yaml") for family in FAMILIES]
    done = subprocess.run(
        [sys.executable, str(TOYS / "train_on_jax.py"), str(toy_world / "jax"), *recipes],
        env={key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
        | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for family in FAMILIES:
        run = Run(toy_world / "jax" / family)
        finish(run, Screen(quiet=True), stages=("export",) if run.scores.exists() else ("evaluation", "export"))
    return json.loads((toy_world / "jax" / "said.json").read_text())


@pytest.fixture(scope="module")
def run_of(toy_world, asked_here, request):
    """Gives the finished run of a family on a backend."""

    @lru_cache
    def run(backend: str, family: str) -> Run:
        if backend == "tensorflow":
            return mmzoo.build(TOYS / f"{family}.yaml", out=toy_world / backend / family, screen=Screen(quiet=True))
        request.getfixturevalue("jax")
        return Run(toy_world / backend / family)

    return run


@pytest.fixture(scope="module")
def held_out(toy_world):
    """Gives the raw fields of the first four test examples."""
    data = mmzoo.registry.discovery.discover().get("dataset", "toy_squares").load()().splits()["test"]
    return {
        name: value.to_tensor() if hasattr(value, "to_tensor") else value
        for name, value in next(iter(data.ragged_batch(4))).items()
    }


def served(run: Run, signature: str, **raw: tf.Tensor) -> dict[str, np.ndarray]:
    answers = tf.saved_model.load(run.export / "1").signatures[signature](**raw)
    return {name: value.numpy() for name, value in answers.items()}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_learns_and_is_scored(run_of, backend, family):
    run = run_of(backend, family)
    losses = json.loads(run.history.read_text())[LEARNED[family]]
    assert losses[-1] < 0.95 * losses[0]
    scores = json.loads(run.scores.read_text())
    assert (scores["split"], scores["examples"]) == ("test", 24)
    assert any(name.startswith("toy_") and 0 <= value <= 1 for name, value in scores.items())


@pytest.mark.parametrize("backend", BACKENDS)
def test_pictures_and_texts_share_a_space(run_of, held_out, backend):
    run = run_of(backend, "matching")
    image = served(run, "embed_image", image=held_out["bitmap"])["image_embedding"]
    text = served(run, "embed_caption", caption=held_out["caption"])["caption_embedding"]
    both = served(run, "embed", image=held_out["bitmap"], caption=held_out["caption"])
    np.testing.assert_allclose(np.linalg.norm(image, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(both["image_embedding"], image, atol=1e-6)
    np.testing.assert_allclose(both["caption_embedding"], text, atol=1e-6)
    own = np.sum(image * text, axis=1)
    assert own.mean() > (image @ text.T).mean()


def test_a_new_version_of_an_export_reads_what_it_asks_and_embeds_no_gallery_again(run_of, monkeypatch):
    run = run_of("tensorflow", "matching")
    from mmzoo_toys.squares import Squares

    whole = Squares.splits

    def splits(self):
        """Only the first three test examples, as many as the export asks, can be read."""
        gone = {name: data.map(lambda one: one | {"caption": tf.io.read_file("gone")}) for name, data in whole(self).items()}
        return gone | {"test": whole(self)["test"].take(3).concatenate(gone["test"].skip(3))}

    monkeypatch.setattr("mmzoo_toys.squares.Squares.splits", splits)
    monkeypatch.setattr("mmzoo.serving.gallery.collect", None)
    assert mmzoo.load(run, overrides=["export.version=2"]).served.index is not None
    for other in ("head.pictures=train", "export.precision=mixed_bfloat16", "data.examples=23"):
        assert mmzoo.load(run, overrides=[other]).served.index is None
    mmzoo.build(TOYS / "matching.yaml", out=run.folder, overrides=["export.version=2"], screen=Screen(quiet=True))
    assert (run.export / "2").exists()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_clip_and_a_question_are_answered(run_of, held_out, backend):
    given = served(run_of(backend, "answering"), "answer", clip=held_out["frames"], question=held_out["question"])
    known = {b"red", b"green", b"blue", b"top", b"middle", b"bottom"}
    assert given["top"].shape == given["score"].shape == (4, 3)
    assert set(given["top"].ravel()) <= known
    assert (given["top"][:, 0] == given["answer"]).all()
    assert (np.diff(given["score"]) <= 0).all()
    assert (given["score"].sum(axis=1) <= 1).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_picture_is_drawn(run_of, held_out, backend):
    run = run_of(backend, "generating")
    drawn = served(run, "draw", caption=held_out["caption"], seed=tf.range(4, dtype=tf.int64))["picture_bytes"]
    pictures = [tf.io.decode_png(data).numpy() for data in drawn]
    assert {(picture.shape, picture.dtype.name) for picture in pictures} == {((9, 9, 3), "uint8")}
    assert all(picture.std() > 1 for picture in pictures)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_seed_gives_the_same_picture_in_any_batch(run_of, held_out, backend):
    def drawn(*seeds: int) -> list[bytes]:
        captions = tf.repeat(held_out["caption"][:1], len(seeds), axis=0)
        raw = {"caption": captions, "seed": tf.constant(seeds, tf.int64)}
        return list(served(run_of(backend, "generating"), "draw", **raw)["picture_bytes"])

    several = drawn(3, 2**40, -1, 3)
    assert several[0] == several[3]
    assert len(set(several)) == 3
    assert [drawn(seed)[0] for seed in (3, 2**40, -1)] == several[:3]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_watched_is_kept_with_the_run(run_of, backend):
    run = run_of(backend, "generating")
    names = [f"epoch-00{epoch}.png" for epoch in (1, 2, 3, 4)]
    assert sorted(path.name for path in run.samples.iterdir()) == names
    rows, columns, lined = 8, 3, 9 + 1
    for name in names:
        assert tf.io.decode_png((run.samples / name).read_bytes()).shape == (rows * lined, columns * lined, 3)


def test_each_player_has_its_own_optimizer_on_jax(jax):
    """On TensorFlow: `tests/training/test_optimizer.py`."""
    for together, alone in jax["players"]:
        np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_the_backend_of_a_recipe_is_chosen_before_keras(jax):
    assert jax["backend"] == "jax"


def of_generator(scores: dict[str, dict[str, float]]) -> set[str]:
    return {score for score, parts in scores.items() if parts["generator"] > 0}


def of_discriminator(scores: dict[str, dict[str, float]]) -> set[str]:
    return {score for score, parts in scores.items() if parts["discriminator"] > 0}


def test_generator_and_discriminator_are_moved_by_their_own_scores_on_jax(jax):
    assert of_generator(jax["gradients"]) == {"fooling"}
    assert of_discriminator(jax["gradients"]) == {"real", "mismatched", "generated"}


def test_generator_and_discriminator_are_moved_by_their_own_scores_on_tensorflow(toy_world):
    from mmzoo_toys.generating import GAN

    head = GAN(inputs={"image": {"shape": [9, 9, 3], "dtype": "uint8", "vocabulary": None}}, target="image")
    tokens = np.random.default_rng(0).normal(size=(4, 2, 5)).astype("float32")
    batch = {"caption": {"tokens": tokens, "mask": np.ones((4, 2), bool)}}, {"image": np.zeros((4, 9, 9, 3), "uint8")}
    head(*batch)
    found: dict[str, dict[str, float]] = {}
    with tf.GradientTape(persistent=True) as tape:
        scores = {name: tf.reduce_sum(value) for name, value in head(*batch).items()}
    for name, score in scores.items():
        for part in ("generator", "discriminator"):
            gradients = tape.gradient(score, [weight.value for weight in getattr(head, part).trainable_variables])
            found.setdefault(name, {})[part] = max(0.0 if g is None else float(tf.reduce_max(tf.abs(g))) for g in gradients)
    assert of_generator(found) == {"fooling"}
    assert of_discriminator(found) == {"real", "mismatched", "generated"}


def test_a_score_of_its_own_for_each_loss(run_of):
    history = json.loads(run_of("tensorflow", "generating").history.read_text())
    scores = ("toy_believe_real", "toy_doubt_mismatched", "toy_doubt_generated", "toy_believe_fooling")
    total = sum(weight * np.array(history[name]) for name, weight in zip(scores, (1, 0.5, 0.5, 1), strict=True))
    np.testing.assert_allclose(total, history["loss"], rtol=1e-5)


def test_a_run_of_an_older_version_that_lost_its_gallery_embeds_it_again(run_of, tmp_path):
    kept = run_of("tensorflow", "matching")
    run = Run(shutil.copytree(kept.folder, tmp_path / "run"))
    shutil.rmtree(run.gallery)
    plan = json.loads(run.plan.read_text("utf-8"))
    del plan["recipe"]["train"]["grad_cache_chunks"], plan["recipe"]["encoders"]["image"]["trainable"]
    run.plan.write_text(json.dumps(plan), "utf-8")
    evaluate(mmzoo.load(run), Screen(quiet=True))
    np.testing.assert_array_equal(np.load(run.gallery / "embeddings.npy"), np.load(kept.gallery / "embeddings.npy"))
    assert run.load_json(run.scores) == kept.load_json(kept.scores)
