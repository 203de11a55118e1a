"""StackGAN: draws a small picture of a text, then a larger one of both; or all scales in one network (StackGAN++)."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, cast

from keras import ops

from mmzoo import EncoderPart, FeatureSpec, HeadPart, InputName, NonNegativeInt, PositiveInt, StreamError
from mmzoo_text2image.adversary import Adversary
from mmzoo_text2image.blocks import Norm
from mmzoo_text2image.diff_augment import Augmentation
from mmzoo_text2image.discriminators import Discriminator
from mmzoo_text2image.generators import Stage1, Stage2, Tree
from mmzoo_text2image.text2image import Sentence, TextToImage

WHO = "the head 'stackgan'"


class StackGAN(TextToImage):
    """Draws a picture of a text (StackGAN, StackGAN++).

    Stage 1 draws a picture from the sentence and noise. Stage 2 reads that picture and the sentence again, and draws a larger
    one; its `stage1` starts from a run of stage 1 and is frozen. With `scales` one network draws all scales at once, and each
    has a discriminator (StackGAN++). The pictures have the size of the target; the size must be a power of two.

    Training outputs, which the losses `discriminator`, `generator`, `kl`, `r1` and `ma_gp` take: see `Adversary`, and `mean`
    and `log_variance` `(batch, condition)` of the conditioning augmentation. With `damsm`, what `attngan` gives to the loss
    `damsm`, too.

    Signatures: `generate` takes the text and `seed`, an integer, and returns `image_bytes`, PNG. The same text and seed give
    the same picture, whatever else is in the batch. `blend` takes `captions`, several for each picture, and draws the mean of
    their sentences.

    Source: Zhang et al. 2017, arXiv 1612.03242; Zhang et al. 2018, arXiv 1710.10916; the authors' code. There the text is a
    vector of 1,024 numbers from a character network (Reed et al. 2016) whose weights are not public in this form; here it is
    any encoder's. There pictures are mismatched with the texts of the next row, without the last one of a batch; here the last
    goes with the first, and equal texts are left out.

    Args:
        inputs: The `FeatureSpec` of each input.
        target: The input with the pictures.
        text: The input with the text.
        mismatched_text: A further input with texts that do not match the pictures, such as texts with two words exchanged. Each
            real picture is scored with its own, too.
        feature_network: A frozen encoder of pictures, `{type: ..., weights: NEED/encoders.INPUT}` with the options that it was
            trained with. One more discriminator reads its feature map of the last picture, and so knows from the first step
            what a picture shows (Sauer et al. 2021, arXiv 2111.01007; see `FeatureMap`). None, as published.
        picture_encoder: DAMSM's encoder of pictures, as in `attngan`, for the loss `damsm` (Xu et al. 2018, arXiv 1711.10485).
            None, as published.
        damsm: DAMSM's head, of the same run.
        stage: Which stage is trained; 1 for StackGAN++.
        stage1: The stage 1 that stage 2 stands on, `{type: stackgan, ..., weights: NEED/head.generator}` with the options that
            it was trained with.
        stage1_size: The size of stage 1's picture; for stage 2.
        scales: The sizes of StackGAN++'s pictures, each twice the one before it, the last one the target's.
        width: Channels of the generator: GF of the paper.
        discriminator_width: Channels of the discriminators: DF of the paper.
        noise: Numbers of noise.
        condition: Numbers of the conditioning augmentation.
        condition_activation: What gives its mean and variance in stages 1 and 2: `relu`, as in the authors' PyTorch code, with
            a standard deviation of at least 1; or `leaky_relu`, which lets it be smaller.
        mapping: Units of two dense layers with leaky ReLU through which the generator reads the text (the mapping network of
            Karras et al. 2019, arXiv 1812.04948); None for no such layers, as published.
        residuals: Number of residual blocks of stage 2, and between two scales.
        sentence: How the text's stream becomes one vector; see `TextToImage`.
        scored: What discriminators read of the text: `condition`, the mean of the conditioning augmentation, as published; or
            the `sentence`, which tells more from the first step on.
        norm: Normalisation of the generator.
        discriminator_norm: Normalisation of the discriminators. Without one, their initial weights are orthogonal: the
            published N(0, 0.02) makes what they return vanish.
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
        stage: Literal[1, 2] = 1,
        stage1: HeadPart | None = None,
        stage1_size: PositiveInt = 64,
        scales: list[PositiveInt] | None = None,
        width: PositiveInt = 128,
        discriminator_width: PositiveInt = 64,
        noise: PositiveInt = 100,
        condition: PositiveInt = 128,
        condition_activation: Literal["relu", "leaky_relu"] = "relu",
        mapping: PositiveInt | None = None,
        residuals: PositiveInt = 4,
        sentence: Sentence = "mean",
        scored: Literal["condition", "sentence"] = "condition",
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
        self.scored, self.condition = scored, condition
        self._check(stage, stage1, scales)
        self.stage1: Any = None
        made: dict[str, Any] = {"mapping": mapping, "norm": norm, "name": "generator"}
        staged = made | {"activation": condition_activation}
        if scales:
            self.generator: Any = Tree(scales, width, noise, condition, residuals, **made)
        elif stage == 1:
            self.generator = Stage1(self.size, width, noise, condition, **staged)
        else:
            small = inputs | {target: inputs[target] | {"shape": [stage1_size, stage1_size, 3]}}
            self.stage1 = cast(Any, stage1)(inputs=small).generator
            self.stage1.trainable = False
            self.generator = Stage2(stage1_size, self.size, width, residuals, condition, **staged)
        self.sizes = scales or [self.size]
        self.make_discriminator = partial(
            Discriminator,
            width=discriminator_width,
            alone=stage == 2 or bool(scales),
            norm=discriminator_norm,
            compress=compress,
            spectral=spectral,
            projection=projection,
            kernel="normal" if not scales and discriminator_norm == "batch" else "orthogonal",
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

    def _check(self, stage: int, stage1: Any, scales: list[int] | None) -> None:
        if (stage == 2) != (stage1 is not None):
            raise StreamError(f"{WHO}: `stage1` goes with `stage: 2`, and only with it.")
        if self.mismatched_text and self.scored == "condition":
            raise StreamError(f"{WHO}: `mismatched_text` goes with `scored: sentence`, and only with it.")
        if scales and (stage == 2 or scales[-1] != self.size):
            raise StreamError(
                f"{WHO}: `scales` has no stage 2 and ends with the size of '{self.target}', {self.size}; received {scales}."
            )

    def draw(self, sentence: Any, noise: Any, words: Any, mask: Any, training: bool = False) -> dict[str, Any]:
        if self.stage1 is None:
            return super().draw(sentence, noise, words, mask, training)
        own, rest = noise[:, : self.generator.noise_size], noise[:, self.generator.noise_size :]
        small = self.stage1(sentence, rest, training=False)["pictures"][-1]
        return self.generator(sentence, own, ops.stop_gradient(small), training=training)

    @property
    def noise_size(self) -> int:
        return self.generator.noise_size + (self.stage1.noise_size if self.stage1 is not None else 0)

    def scored_dim(self, dim: int) -> int:
        return dim if self.scored == "sentence" else self.condition

    def scored_text(self, sentence: Any, drawn: Mapping[str, Any]) -> Any:
        return sentence if self.scored == "sentence" else drawn["mean"]
