"""The discriminators of all scales, and the scores of one training step."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from mmzoo import MASKED_LOGIT, StreamError, unit
from mmzoo_text2image.diff_augment import Augmentation, diff_augment
from mmzoo_text2image.discriminators import Discriminator
from mmzoo_text2image.gradients import input_gradients

SAME = 1e-6
"""Texts whose numbers differ by at most this are the same, so that a picture of one is no mismatch of the other."""


class Adversary(keras.layers.Layer):
    """Scores real, mismatched and generated pictures, at each scale by its own discriminator.

    With a `feature_map`, a further discriminator comes first. It reads the map of the last scale's picture.

    `call(real, generated, text, mismatched=None, training=False)` takes a real and a generated picture per scale, `(batch,
    size, size, 3)`, -1 to 1, the texts, and texts that do not match the pictures, `(batch, text_dim)`. Texts get no gradient.
    It returns logits; with a feature map there is one scale more:

    - `real`, `generated` `(batch, scales)`: pictures with their texts. `generated` has gradients for the discriminators alone.
    - `mismatched` `(batch, scales, mismatches)`: real pictures with other texts. A text equal to the picture's own
      has `MASKED_LOGIT`, which costs nothing.
    - `fooling` `(batch, scales)`: generated pictures, with gradients for the generator alone; `fooling_mismatched` `(batch,
      scales, mismatches)`: with the texts of `mismatched`.
    - `real_alone`, `generated_alone`, `fooling_alone`: without texts, where the discriminators have such a score.
    - with `gradients` `picture_gradient`, `text_gradient` `(batch,)`: squared norms of the gradients of the sum of the `real`
      logits with respect to the pictures and the text.

    Args:
        discriminators: One per scale; before them that of the feature map.
        feature_map: Pictures `(batch, size, size, 3)`, -1 to 1 -> what the first discriminator reads.
        augment: Augmentations of real and generated pictures, the same for the discriminators' and the generator's score.
        mismatches: Number of texts of other examples that each real picture is scored with: those of the next rows.
        hard_mismatches: How many more: the most similar texts of the batch.
        memory: Number of texts of earlier batches among which these are looked for, too. Their encoder should be frozen. As the
            memory of keys of He et al. 2020, arXiv 1911.05722.
        gradients: Whether to compute the gradients, which doubles the time of the real pictures' scores.

    Raises:
        StreamError: There is a memory without hard mismatches.
    """

    def __init__(
        self,
        discriminators: Sequence[Discriminator],
        *,
        feature_map: Callable[[Any], Any] | None = None,
        augment: Sequence[Augmentation] = (),
        mismatches: int = 1,
        hard_mismatches: int = 0,
        memory: int = 0,
        gradients: bool = False,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        if memory and not hard_mismatches:
            raise StreamError(
                "`memory` is where `hard_mismatches` looks for similar texts. Set `hard_mismatches: 4`, or leave it out."
            )
        self.discriminators = list(discriminators)
        self.feature_map, self.augment, self.gradients = feature_map, tuple(augment), gradients
        self.mismatches, self.hard_mismatches = mismatches, hard_mismatches
        self.seeds = keras.random.SeedGenerator()
        shape = (memory, self.discriminators[0].text_dim)
        self.memory: Any = (
            self.add_weight(shape=shape, initializer="zeros", trainable=False, autocast=False, name="memory")
            if memory
            else None
        )
        self.built = True  # the discriminators are

    def call(
        self, real: Sequence[Any], generated: Sequence[Any], text: Any, mismatched: Any = None, training: bool = False
    ) -> dict[str, Any]:
        text = ops.stop_gradient(text)
        penalized = self._gradients(real, text, training) if self.gradients else {}
        if training:
            real, generated = ([diff_augment(one, self.augment, self.seeds) for one in each] for each in (real, generated))
        scores: dict[str, list[Any]] = {}
        texts, same = self._mismatched_texts(text, mismatched, training)
        frozen = [(variable, ops.stop_gradient(variable.value)) for variable in self.variables]
        for discriminator, mine, theirs in zip(self.discriminators, self._read(real), self._read(generated), strict=True):
            self._append(scores, "real", discriminator, mine, text, training, (texts, same))
            self._append(scores, "generated", discriminator, ops.stop_gradient(theirs), text, training)
            with keras.StatelessScope(state_mapping=frozen):
                self._append(scores, "fooling", discriminator, theirs, text, training, (texts, same))
        return {name: ops.stack(each, axis=1) for name, each in scores.items()} | penalized

    def _read(self, pictures: Sequence[Any]) -> list[Any]:
        """Returns what each discriminator reads of the pictures of all scales."""
        return [*([] if self.feature_map is None else [self.feature_map(pictures[-1])]), *pictures]

    def _append(
        self, scores: Any, name: str, discriminator: Any, pictures: Any, text: Any, training: bool, others: Any = ((), ())
    ) -> None:
        """Appends the scores of pictures at one scale: with their texts, with others, and alone."""
        features, (texts, same) = discriminator.features(pictures, training), others
        own, *mismatched = discriminator.scores(features, [text, *texts], training)
        found = {name: own, f"{name}_alone": discriminator.score_alone(features, training)}
        if mismatched:
            costly = [ops.where(mine, MASKED_LOGIT, score) for mine, score in zip(same, mismatched, strict=True)]
            found["mismatched" if name == "real" else f"{name}_mismatched"] = ops.stack(costly, axis=1)
        for key, value in found.items():
            if value is not None:
                scores.setdefault(key, []).append(value)

    def _mismatched_texts(self, text: Any, mismatched: Any, training: bool) -> tuple[list[Any], list[Any]]:
        """Returns the texts `(batch, text_dim)` that pictures are mismatched with, and where each is no mismatch."""
        others = [] if mismatched is None else [ops.stop_gradient(mismatched)]
        others += [ops.roll(text, -shift, axis=0) for shift in range(1, self.mismatches + 1)]
        if self.hard_mismatches:
            others += self._similar(text, self._remembered(text, training))
        own = (ops.max(ops.abs(other - text), axis=1) <= SAME for other in others)
        empty = (ops.all(other == 0, axis=1) for other in others)  # a place of the memory before the first texts fill it
        return others, [ops.logical_or(*either) for either in zip(own, empty, strict=True)]

    def _similar(self, text: Any, candidates: Any) -> list[Any]:
        """Returns the most similar other texts among candidates `(candidates, text_dim)`, each `(batch, text_dim)`."""
        cosines = ops.matmul(unit(text), ops.transpose(unit(candidates)))
        cosines = ops.where(cosines > 1 - SAME, -1.0, cosines)
        order, last = ops.argsort(-cosines, axis=1), ops.shape(candidates)[0] - 1
        ranks = [ops.minimum(rank, last) for rank in range(self.hard_mismatches)]  # a batch may have fewer texts
        return [ops.take(candidates, ops.take(order, rank, axis=1), axis=0) for rank in ranks]

    def _remembered(self, text: Any, training: bool) -> Any:
        """Returns the texts with those of earlier batches, newest first; in training the memory takes the newest."""
        if self.memory is None:
            return text
        texts = ops.concatenate([text, ops.cast(self.memory, text.dtype)])
        if training:
            self.memory.assign(texts[: self.memory.shape[0]])
        return texts

    def _gradients(self, real: Sequence[Any], text: Any, training: bool) -> dict[str, Any]:
        def total(*inputs: Any) -> Any:
            *pictures, texts = inputs
            pairs = zip(self.discriminators, self._read(pictures), strict=True)
            return sum(one.score(one.features(picture, training), texts, training) for one, picture in pairs)

        *pictures, texts = input_gradients(total, [*real, text])
        squares = [ops.sum(ops.square(one), axis=(1, 2, 3)) for one in pictures]
        return {"picture_gradient": sum(squares), "text_gradient": ops.sum(ops.square(texts), axis=1)}
