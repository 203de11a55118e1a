"""Zero-shot accuracy against the same definition in float64, and on hand-written rankings."""

import numpy as np
import pytest
from mmzoo_matching.zero_shot_accuracy import BATCH, ZeroShotAccuracy

from mmzoo import DataError

ANIMALS = {"cat": [1.0, 0.0, 0.0], "dog": [0.0, 1.0, 0.0], "owl": [0.0, 0.0, 1.0]}


class Model:
    """Embeds texts that contain a name of the table; cannot read others."""

    def __init__(self, table):
        self.table, self.calls = table, []

    def __call__(self, signature, texts):
        assert signature == "embed_caption"
        self.calls.append(list(texts))
        known = [next((name for name in self.table if name in text), None) for text in texts]
        empty = np.zeros(len(next(iter(self.table.values()))))
        vectors = np.array([self.table.get(name, empty) for name in known], "float32")
        return {"caption_embedding": vectors, "ok": np.array([name is not None for name in known])}


def accuracy(examples, table=None, **options):
    metric = ZeroShotAccuracy(predict=Model(table or ANIMALS), **options)
    for image, label in examples:
        metric.update(candidate_embedding=np.array(image), label=label)
    return metric.result()


def test_the_nearest_name_is_the_answer():
    result = accuracy([([0.9, 0.4, 0], ["cat"]), ([0.6, 0.8, 0], ["cat"]), ([0, 1, 0], ["dog"]), ([0, 0, 1], ["owl"])], top_k=2)
    assert result["zero_shot_accuracy"] == pytest.approx(0.75)
    assert result["zero_shot_top_2"] == 1
    assert result["zero_shot_mean_per_class"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert result["zero_shot_accuracy_chance"] == pytest.approx(1 / 3)
    assert result["zero_shot_top_2_chance"] == pytest.approx(2 / 3)
    assert result["zero_shot_accuracy_low"] <= 0.75 <= result["zero_shot_accuracy_high"]


def test_it_is_what_sorting_finds():
    rng = np.random.default_rng(0)
    table = {f"<{number}>": row for number, row in enumerate(rng.normal(size=(20, 8)))}
    images, labels = rng.normal(size=(300, 8)), rng.integers(20, size=300)
    images[:150] += 2 * np.array(list(table.values()))[labels[:150]]
    result = accuracy([(image, [f"<{label}>"]) for image, label in zip(images, labels, strict=True)], table, templates=["a {}"])
    classes = np.array(list(table.values()))
    order = np.argsort(-images @ (classes / np.linalg.norm(classes, axis=1, keepdims=True)).T, axis=1)
    first, five = order[:, 0] == labels, (order[:, :5] == labels[:, None]).any(axis=1)
    assert result["zero_shot_accuracy"] == pytest.approx(first.mean(), abs=1e-12)
    assert result["zero_shot_top_5"] == pytest.approx(five.mean(), abs=1e-12)
    each = [first[labels == label].mean() for label in np.unique(labels)]
    assert result["zero_shot_mean_per_class"] == pytest.approx(np.mean(each), abs=1e-12)


def test_templates_are_ensembled_as_directions():
    """A template with long embeddings does not outweigh one with short embeddings."""
    table = {"photo of a cat": [100.0, 0.0], "drawing of a cat": [0.0, 1.0], "of a dog": [0.8, 0.6]}
    templates = ["photo of a {}", "drawing of a {}"]
    result = accuracy([([0.7071, 0.7071], ["cat"]), ([0.8, 0.6], ["dog"])], table, templates=templates)
    assert result["zero_shot_accuracy"] == 1
    assert accuracy([([1, 0], ["cat"]), ([0.8, 0.6], ["dog"])], table, templates=templates)["zero_shot_accuracy"] == 0.5
    assert accuracy([([1, 0], ["cat"]), ([0.8, 0.6], ["dog"])], table, templates=templates[:1])["zero_shot_accuracy"] == 1


def test_every_label_is_embedded_in_every_template_once_and_in_blocks():
    table = {f"<{number}>": row for number, row in enumerate(np.eye(200))}
    metric = ZeroShotAccuracy(predict=Model(table), templates=["ein {} {x}", "{}!"])
    for name, row in table.items():
        metric.update(row, [name])
    assert metric.result()["zero_shot_accuracy"] == 1
    assert [len(texts) for texts in metric.predict.calls] == [BATCH, 400 - BATCH]
    embedded = sorted(text for texts in metric.predict.calls for text in texts)
    assert embedded == sorted([f"ein {name} {{x}}" for name in table] + [f"{name}!" for name in table])


def test_several_labels_are_each_right():
    examples = [([1, 0, 0], ["cat", "dog"]), ([0, 1, 0], ["cat", "dog", "cat"]), ([0, 0, 1], ["cat", "owl"])]
    result = accuracy(examples, top_k=1)
    assert result["zero_shot_accuracy"] == 1
    assert result["zero_shot_accuracy_chance"] == pytest.approx(2 / 3)


def test_several_pictures_are_each_named():
    result = accuracy([(np.eye(3)[:2], ["cat"]), (np.eye(3)[1], ["dog"]), (np.zeros((0, 3)), ["owl"])])
    assert result["zero_shot_accuracy"] == pytest.approx(2 / 3)
    assert result["zero_shot_accuracy_chance"] == pytest.approx(1 / 2)


def test_names_that_embed_alike_score_as_chance():
    result = accuracy([([1, 0], [name]) for name in "abcd"], {name: [1.0, 1.0] for name in "abcd"}, top_k=2)
    assert result["zero_shot_accuracy"] == result["zero_shot_accuracy_chance"] == pytest.approx(0.25)
    assert result["zero_shot_top_2"] == result["zero_shot_top_2_chance"] == pytest.approx(0.5)


def test_a_label_that_cannot_be_read_is_never_named():
    result = accuracy([([-1, 0, 0], [""]), ([-1, 0, 0], ["cat"])], top_k=1)
    assert result["zero_shot_accuracy"] == result["zero_shot_mean_per_class"] == pytest.approx(0.5)
    assert result["zero_shot_accuracy_chance"] == pytest.approx(0.5)
    assert accuracy([([1, 0, 0], [""])])["zero_shot_top_5"] == 0


def test_one_label_is_always_right():
    result = accuracy([([0, 1, 0], ["cat"]), ([1, 0, 0], ["cat"])])
    assert result["zero_shot_accuracy"] == result["zero_shot_accuracy_chance"] == result["zero_shot_top_5"] == 1


def test_labels_may_be_numbers():
    assert accuracy([([1, 0], [3]), ([0, 1], [4])], {"3": [1.0, 0.0], "4": [0.0, 1.0]})["zero_shot_accuracy"] == 1


@pytest.mark.parametrize(("template", "count"), [("a photo", 0), ("{} or {}", 2), ("{name}", 0)])
def test_a_template_without_one_place_is_refused(template, count):
    with pytest.raises(DataError) as error:
        ZeroShotAccuracy(predict=Model(ANIMALS), templates=["{}", template])
    assert str(error.value) == (
        f"the metric 'zero_shot_accuracy' has the template '{template}', with {count} times '{{}}'; expected once. "
        "Write '{}' where the label goes, as in 'a picture of {}'."
    )


def test_a_model_that_embeds_no_text_is_refused():
    metric = ZeroShotAccuracy(predict=lambda name, texts: {}[name])
    metric.update([1.0], ["cat"])
    with pytest.raises(DataError) as error:
        metric.result()
    assert str(error.value) == (
        "the metric 'zero_shot_accuracy' asks the model for the signature 'embed_caption', which it does not have. "
        "Set `signature` to the one that embeds a text, or leave the metric out."
    )


@pytest.mark.parametrize(
    ("outputs", "count"),
    [
        ({"name_embedding": [[1.0]], "ok": [True]}, 1),
        ({"ok": [True]}, 0),
        ({"a_embedding": [[1.0]], "b_embedding": [[1.0]]}, 2),
    ],
)
def test_a_signature_has_one_embedding_of_any_name(outputs, count):
    signatures = []
    metric = ZeroShotAccuracy(predict=lambda name, texts: signatures.append(name) or outputs, signature="embed_name")
    metric.update([1.0], ["cat"])
    if count == 1:
        assert metric.result()["zero_shot_accuracy"] == 1
    else:
        with pytest.raises(DataError) as error:
            metric.result()
        assert str(error.value) == (
            "the metric 'zero_shot_accuracy' needs a signature with one output that ends in '_embedding'; "
            f"'embed_name' has {count}. Set `signature` to the one that embeds a text, or leave the metric out."
        )
    assert signatures == ["embed_name"]
