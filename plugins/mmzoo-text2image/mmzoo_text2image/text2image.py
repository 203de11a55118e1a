"""What the heads that draw pictures of texts share: their outputs, their signatures, and what they say while they train."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras
from keras import ops

from mmzoo import FeatureSpec, Head, Signature, Stream, StreamError, pick_stream, pool, unit
from mmzoo_text2image.adversary import Adversary
from mmzoo_text2image.blocks import pixels
from mmzoo_text2image.damsm import last_states
from mmzoo_text2image.discriminators import Discriminator
from mmzoo_text2image.feature_map import FeatureMap
from mmzoo_text2image.noise import normals

Streams = dict[str, Stream]
Sentence = Literal["mean", "states"]
COLLAPSED = 0.05
"""A generator whose pictures of one caption differ by less than this share of what pictures of different captions differ by has
collapsed."""
WON = 10.0
"""A discriminator has won if its logits of all real pictures are higher by this than those of all generated ones."""
WATCHED_SEEDS = 4
"""Seeds per caption of the pictures that are watched."""


class TextToImage(Head):
    """Base class: draws a picture of a text.

    A subclass makes `generator`, and says how the discriminators of `sizes` and their adversary are made, and what they read
    of the text.

    Args:
        inputs: The `FeatureSpec` of each input.
        target: The input with the pictures, `(size, size, 3)`, 0 to 255.
        text: The input with the text.
        sentence: How the text's stream becomes one vector: `mean` of the real tokens, or the last `states` of both directions
            of a recurrent encoder with `pool: none` and `merge: concatenate`.
        who: The head, for messages.
        mismatched_text: A further input with texts that do not match the pictures; read in training alone.
        feature_network: Makes a frozen encoder of pictures, whose feature map one more discriminator reads; see `FeatureMap`.
        picture_encoder: Makes DAMSM's frozen encoder of pictures, which reads the last picture.
        damsm: Makes DAMSM's frozen head, which tells how well that picture matches words and text.
    """

    generator: Any
    adversary: Adversary
    sizes: Sequence[int]
    make_discriminator: Callable[..., Discriminator]
    make_adversary: Callable[..., Adversary]

    def __init__(
        self,
        inputs: Mapping[str, FeatureSpec],
        target: str,
        text: str,
        sentence: Sentence,
        who: str,
        mismatched_text: str | None = None,
        feature_network: Any = None,
        picture_encoder: Any = None,
        damsm: Any = None,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        self.mismatched_text = mismatched_text
        self.target, self.text, self.sentence, self.who = target, text, sentence, who
        height, width, channels = (*inputs[target]["shape"], 0, 0, 0)[:3]
        if not (height == width and channels == 3):
            raise StreamError(
                f"{who} draws square pictures in colour, received '{target}' of the shape {inputs[target]['shape']}."
            )
        self.size = int(height)
        self.feature_map = FeatureMap(feature_network, inputs[target], who) if feature_network else None
        self.feature_network = self.feature_map and self.feature_map.encoder
        if (picture_encoder is None) != (damsm is None):
            raise StreamError(f"{who} takes `picture_encoder` and `damsm` together, of one needed run.")
        self.picture_encoder: Any = picture_encoder(features=inputs[target]) if picture_encoder else None
        self.damsm: Any = damsm(inputs=inputs) if damsm else None
        self.noise_seeds = keras.random.SeedGenerator()

    def build(self, streams: Any) -> None:
        text_dim = self.scored_dim(streams[self.text]["tokens"][-1])
        reads = [(size, 3) for size in self.sizes]
        if self.feature_map is not None:
            reads = [self.feature_map.shape[1:], *reads]
        judges = [self.make_discriminator(size, text_dim=text_dim, input_channels=channels) for size, channels in reads]
        self.adversary = self.make_adversary(judges, feature_map=self.feature_map)

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    @property
    def players(self) -> Mapping[str, Sequence[Any]]:
        return {"generator": (self.generator,), "discriminator": (self.adversary,)}

    @property
    def noise_size(self) -> int:
        """Numbers of noise that a picture takes."""
        return self.generator.noise_size

    # Training

    def call(self, streams: Streams, targets: Any = None, training: bool = False) -> dict[str, Any]:
        sentence, words, mask = self.read(streams)
        noise = keras.random.normal((ops.shape(sentence)[0], self.noise_size), seed=self.noise_seeds)
        drawn = self.draw(sentence, noise, words, mask, training)
        scores = self._score(streams, sentence, drawn, targets, training)
        condition = {name: drawn[name] for name in ("mean", "log_variance")}
        return scores | condition | self._matched(streams, drawn["pictures"][-1])

    def _score(
        self, streams: Streams, sentence: Any, drawn: Mapping[str, Any], targets: Mapping[str, Any], training: bool = False
    ) -> dict[str, Any]:
        """Scores drawn and real pictures, at each scale."""
        text = self.scored_text(sentence, drawn)
        mismatched = self._sentence(streams, self.mismatched_text) if self.mismatched_text else None
        real = ops.cast(targets[self.target], "float32") / 127.5 - 1
        scales = [reduced(real, picture.shape[1]) for picture in drawn["pictures"]]
        return self.adversary(scales, drawn["pictures"], text, mismatched=mismatched, training=training)

    def _sentence(self, streams: Streams, text: str) -> Any:
        """Returns the sentence `(batch, dim)` of a text, scaled to the mean square 1."""
        stream = pick_stream(streams, text, self.who)
        return scaled(last_states(stream) if self.sentence == "states" else pool(stream))

    def read(self, streams: Streams) -> tuple[Any, Any, Any]:
        """Returns the sentence `(batch, dim)`, the words `(batch, words, dim)` and their mask, of the text.

        Sentence and words are scaled to the mean square 1. Encoders that were trained by cosines give vectors of any length,
        and with short ones the condition starts as noise alone.
        """
        stream = pick_stream(streams, self.text, self.who)
        return self._sentence(streams, self.text), scaled(stream["tokens"]), stream["mask"]

    def draw(self, sentence: Any, noise: Any, words: Any, mask: Any, training: bool = False) -> dict[str, Any]:
        """Draws the pictures of all scales, -1 to 1; see the generators."""
        return self.generator(sentence, noise, words=words, words_mask=mask, training=training)

    def _matched(self, streams: Streams, picture: Any) -> dict[str, Any]:
        """Returns DAMSM's outputs: how well the last picture matches words and text; none without it."""
        if self.damsm is None:
            return {}
        seen = self.picture_encoder(pixels(picture), training=False)
        found = self.damsm({self.damsm.candidate: seen, self.damsm.query: streams[self.text]})
        return found | {alias: found[name] for alias, name in self.damsm.aliases.items()}

    def scored_text(self, sentence: Any, drawn: Mapping[str, Any]) -> Any:
        """Returns the vectors that the discriminators read of the text, `(batch, scored_dim)`; the sentence by default."""
        return sentence

    def scored_dim(self, dim: int) -> int:
        """Returns the size of these vectors, where a sentence has `dim` numbers."""
        return dim

    # Signatures

    def signatures(self) -> dict[str, Signature]:
        picture, several = {"image_bytes": self.target}, {"captions": self.text}
        generate = Signature(self._generate, decode=picture, inputs=(self.text,), seed="seed")
        blend = Signature(self._blend, decode=picture, inputs=("captions",), reads=several, seed="seed")
        return {"generate": generate, "blend": blend}

    def _blend(self, streams: Streams, seed: Any) -> dict[str, Any]:
        """Draws the mean of the sentences of several texts, scaled as a sentence is, with the words of all of them.

        `[A, A, A, B]` is a quarter of the way from A to B. Empty texts do not count.
        """
        sentence, words, mask = self.read(streams)
        batch = ops.shape(seed)[0]
        texts = ops.shape(mask)[0] // ops.maximum(batch, 1)
        words = ops.reshape(words, (batch, texts * words.shape[1], words.shape[2]))
        sentence = ops.where(ops.any(mask, axis=1)[:, None], sentence, 0.0)
        sentence = scaled(ops.sum(ops.reshape(sentence, (batch, texts, sentence.shape[1])), axis=1))
        mask = ops.reshape(mask, (batch, texts * mask.shape[1]))
        return {"image_bytes": pixels(self.draw(sentence, normals(seed, self.noise_size), words, mask)["pictures"][-1])}

    def _generate(self, streams: Streams, seed: Any) -> dict[str, Any]:
        return {"image_bytes": pixels(self.from_seeds(streams, seed)["pictures"][-1])}

    def from_seeds(self, streams: Streams, seed: Any) -> dict[str, Any]:
        """Draws the pictures of all scales from a seed per example, `(batch,)`."""
        sentence, words, mask = self.read(streams)
        return self.draw(sentence, normals(seed, self.noise_size), words, mask)

    # While it trains

    def watch(self, streams: Any, targets: Mapping[str, Any]) -> dict[str, Any]:
        """Draws each text with several seeds: `pictures` `(texts, seeds, ...)`; scores the first and the real picture."""
        texts = ops.shape(targets[self.target])[0]
        drawn = [self.from_seeds(streams, ops.full((texts,), seed, dtype="int32")) for seed in range(WATCHED_SEEDS)]
        scores = self._score(streams, self._sentence(streams, self.text), drawn[0], targets)
        pictures = ops.stack([one["pictures"][-1] for one in drawn], axis=1)  # (texts, seeds, size, size, 3)
        return {"pictures": pixels(pictures), "diversity": _diversity(pictures)} | {
            name: scores[name][:, -1] for name in ("real", "generated")
        }

    def warn(self, watched: Mapping[str, Any]) -> str:
        diversity = float(watched["diversity"])
        if diversity < COLLAPSED:
            return (
                f"the generator draws one picture for a text whatever the seed: they differ {diversity:.1%} as much as those "
                "of different texts. It has collapsed. Try `augment: [translation]`, a smaller learning rate, or another seed."
            )
        gap = float(watched["real"].min() - watched["generated"].max())
        if gap > WON:
            return (
                f"every real picture scores at least {gap:.0f} more than every generated one. The discriminator has won, and "
                "the generator learns little. Try `augment: [translation]`, or a smaller learning rate of the discriminator."
            )
        return ""


def scaled(vectors: Any) -> Any:
    """Scales vectors `(..., dim)` to the mean square 1, in float32; zeros stay zeros."""
    return unit(vectors) * vectors.shape[-1] ** 0.5


def reduced(pictures: Any, size: int) -> Any:
    """Averages square pictures down to a size; each is a whole number of times as large."""
    factor = pictures.shape[1] // size
    return ops.average_pool(pictures, factor) if factor > 1 else pictures


def _diversity(pictures: Any) -> Any:
    """How much pictures of one text differ, relative to pictures of different texts with one seed; `()`."""
    within = ops.mean(ops.std(pictures, axis=1))
    return within / ops.maximum(ops.mean(ops.std(pictures, axis=0)), 1e-6)
