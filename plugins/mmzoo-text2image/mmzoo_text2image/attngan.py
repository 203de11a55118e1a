"""AttnGAN: draws pictures of a text scale by scale, and looks at its words between the scales."""

from functools import partial
from typing import Any

from keras import ops

from mmzoo import EncoderPart, FeatureSpec, HeadPart, InputName, NonNegativeInt, PositiveInt, Signature, StreamError
from mmzoo_text2image.adversary import Adversary
from mmzoo_text2image.blocks import Norm, pixels
from mmzoo_text2image.diff_augment import Augmentation
from mmzoo_text2image.discriminators import Discriminator
from mmzoo_text2image.generators import Tree
from mmzoo_text2image.text2image import Sentence, Streams, TextToImage

WHO = "the head 'attngan'"


class AttnGAN(TextToImage):
    """Draws a picture of a text at several scales, with attention to the words (AttnGAN).

    Between two scales, each place of the features attends to the words. Each scale has a discriminator. A DAMSM from a needed
    run, frozen, tells how well the last picture matches words and text: its `picture_encoder` reads the picture, and its head
    `damsm` embeds both. The text's encoder should be that of the same run (`weights: NEED/encoders.INPUT`, `trainable: false`).

    Training outputs: those of `stackgan`, and those of the head `damsm` for the generated pictures, for the loss `damsm`:
    `regions`, `regions_mask`, `words`, `words_mask`, `candidate_embedding`, `query_embedding`.

    Signatures: `generate` takes the text and `seed`, an integer, and returns `image_bytes`, PNG. The same text and seed give
    the same picture, whatever else is in the batch. `blend` takes `captions`, several for each picture, and draws the mean of
    their sentences with the words of all of them. `explain` takes what `generate` takes; it also returns `tokens` `(batch,
    words)`, the words, and `attention` `(batch, words, places)`: how much each place of the features before the last scale
    attends to each word. With one scale nothing attends, and there is no `explain`.

    Source: Xu et al. 2018, arXiv 1711.10485, section 3, and the authors' code. There the words' mask is put to the wrong rows
    of the batch; here each text has its own. There the DAMSM reads pictures of 299 pixels; here its encoder reads the size
    that it was trained with.

    Args:
        inputs: The `FeatureSpec` of each input.
        target: The input with the pictures.
        text: The input with the text.
        mismatched_text: A further input with texts that do not match the pictures, such as texts with two words exchanged. Each
            real picture is scored with its own, too.
        feature_network: A frozen encoder of pictures, `{type: ..., weights: NEED/encoders.INPUT}` with the options that it was
            trained with. One more discriminator reads its feature map of the last picture, and so knows from the first step
            what a picture shows (Sauer et al. 2021, arXiv 2111.01007; see `FeatureMap`). None, as published.
        picture_encoder: DAMSM's encoder of pictures, `{type: ..., weights: NEED/encoders.INPUT}` with the options that it was
            trained with; none to leave out DAMSM.
        damsm: DAMSM's head, `{type: damsm, ..., weights: NEED/head}`.
        scales: The sizes of the pictures, each twice the one before it, the last one the target's.
        width: Channels of the generator: GF of the paper.
        discriminator_width: Channels of the discriminators: DF of the paper.
        noise: Numbers of noise.
        condition: Numbers of the conditioning augmentation.
        mapping: Units of two dense layers with leaky ReLU through which the generator reads the text (the mapping network of
            Karras et al. 2019, arXiv 1812.04948); None for no such layers, as published.
        residuals: Number of residual blocks between two scales.
        sentence: How the text's stream becomes one vector; see `TextToImage`.
        norm: Normalisation of the generator.
        discriminator_norm: Normalisation of the discriminators.
        compress: Units of a dense layer with leaky ReLU through which the discriminators read the text (128 in StackGAN's
            TensorFlow code); None for no such layer. Which thing is where is seldom a linear function of a sentence's vector.
        spectral: Whether the discriminators' kernels have the spectral norm 1 (Miyato et al. 2018, arXiv 1802.05957).
        projection: Size of a space in which discriminators also compare picture and text by their inner product; see
            `Discriminator`.
        augment: DiffAugment: what is changed in real and generated pictures alike before they are scored.
        mismatches: Texts of other examples that each real picture is scored with.
        hard_mismatches: How many more, the most similar ones of the batch.
        memory: Number of texts of earlier batches among which the most similar ones are looked for, too. Of thousands of texts,
            a batch alone seldom holds two that differ in one word.
        gradients: Whether the outputs for `r1` and `ma_gp` are computed.
    """

    def __init__(
        self,
        *,
        inputs: dict[str, FeatureSpec],
        target: InputName = "image",
        text: InputName = "caption",
        mismatched_text: InputName | None = None,
        feature_network: EncoderPart | None = None,
        picture_encoder: EncoderPart | None = None,
        damsm: HeadPart | None = None,
        scales: list[PositiveInt] = [64, 128, 256],  # noqa: B006
        width: PositiveInt = 32,
        discriminator_width: PositiveInt = 64,
        noise: PositiveInt = 100,
        condition: PositiveInt = 100,
        mapping: PositiveInt | None = None,
        residuals: PositiveInt = 2,
        sentence: Sentence = "states",
        norm: Norm = "batch",
        discriminator_norm: Norm = "batch",
        compress: PositiveInt | None = None,
        spectral: bool = False,
        projection: PositiveInt | None = None,
        augment: list[Augmentation] = [],  # noqa: B006
        mismatches: PositiveInt = 1,
        hard_mismatches: NonNegativeInt = 0,
        memory: NonNegativeInt = 0,
        gradients: bool = False,
        **kwargs: Any,
    ):
        parts = {"feature_network": feature_network, "picture_encoder": picture_encoder, "damsm": damsm}
        super().__init__(inputs, target, text, sentence, WHO, mismatched_text, **parts, **kwargs)
        if scales[-1] != self.size:
            raise StreamError(f"{WHO}: `scales` must end with the size of '{target}', {self.size}; received {scales}.")
        made: dict[str, Any] = {"mapping": mapping, "norm": norm, "name": "generator"}
        self.generator: Any = Tree(scales, width, noise, condition, residuals, words=True, **made)
        self.sizes = scales
        self.make_discriminator = partial(
            Discriminator,
            width=discriminator_width,
            norm=discriminator_norm,
            compress=compress,
            spectral=spectral,
            projection=projection,
        )
        self.make_adversary = partial(
            Adversary,
            augment=augment,
            mismatches=mismatches,
            hard_mismatches=hard_mismatches,
            memory=memory,
            gradients=gradients,
            name="discriminator",
        )

    def signatures(self) -> dict[str, Signature]:
        if len(self.sizes) == 1:
            return super().signatures()
        explain = Signature(
            self._explain,
            decode={"image_bytes": self.target},
            tokens={"tokens": self.text},
            inputs=(self.text,),
            seed="seed",
            attention="attention",
        )
        return super().signatures() | {"explain": explain}

    def _explain(self, streams: Streams, seed: Any) -> dict[str, Any]:
        drawn = self.from_seeds(streams, seed)
        attention = ops.transpose(drawn["attention"][-1], (0, 2, 1))  # (batch, words, places)
        return {"image_bytes": pixels(drawn["pictures"][-1]), "attention": ops.cast(attention, "float32")}
