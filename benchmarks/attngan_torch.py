"""AttnGAN in PyTorch, written as in the authors' code: the other side of `gan_step.py`. It needs `torch` only."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

MASKED, SAME = -1e9, 1e-6
"""What stands for minus infinity; texts that differ by at most this are the same."""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def conv_block(inputs: int, outputs: int, kind: str, norm: bool, act: str, bias: bool | None = None) -> nn.Sequential:
    """Convolution that keeps, halves (`down`) or doubles (`up`) height and width, normalisation, `glu`, `leaky` or nothing."""
    filters = 2 * outputs if act == "glu" else outputs
    size, stride = (4, 2) if kind == "down" else (3, 1)
    layers: list[nn.Module] = [nn.Upsample(scale_factor=2, mode="nearest")] if kind == "up" else []
    layers.append(nn.Conv2d(inputs, filters, size, stride, 1, bias=not norm if bias is None else bias))
    layers += [nn.BatchNorm2d(filters)] if norm else []
    layers += {"glu": [nn.GLU(1)], "leaky": [nn.LeakyReLU(0.2, inplace=True)], "none": []}[act]
    return nn.Sequential(*layers)


class Residual(nn.Module):
    def __init__(self, channels: int, norm: bool):
        super().__init__()
        first, second = (
            conv_block(channels, channels, "same", norm, "glu"),
            conv_block(channels, channels, "same", norm, "none"),
        )
        self.blocks = nn.Sequential(first, second)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.blocks(features)


class Refine(nn.Module):
    """Attention to the words, residual blocks, upsampling: features of one scale -> features of the next."""

    def __init__(self, channels: int, text: int, residuals: int, norm: bool):
        super().__init__()
        self.project = nn.Linear(text, channels, bias=False)
        blocks = [Residual(2 * channels, norm) for _ in range(residuals)]
        self.blocks = nn.Sequential(*blocks, conv_block(2 * channels, channels, "up", norm, "glu"))

    def forward(self, features: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        projected = self.project(words).transpose(1, 2)  # (batch, channels, words)
        logits = torch.bmm(features.flatten(2).transpose(1, 2), projected)  # (batch, places, words)
        attention = logits.masked_fill(~mask[:, None], MASKED).softmax(2)
        context = torch.bmm(projected, attention.transpose(1, 2)).view_as(features)
        return self.blocks(torch.cat([features, context], 1))


class Generator(nn.Module):
    """Sentence, noise and words -> one picture per scale, and the mean and log variance of the condition."""

    def __init__(self, scales: list[int], width: int, noise: int, condition: int, residuals: int, text: int, norm: bool):
        super().__init__()
        blocks = scales[0].bit_length() - 3
        self.width, self.noise, self.augment = width << blocks, noise, nn.Linear(text, 4 * condition)
        units = 2 * 16 * self.width
        seed = nn.Linear(noise + condition, units, bias=not norm)
        self.seed = nn.Sequential(seed, *([nn.BatchNorm1d(units)] if norm else []), nn.GLU(1))
        channels = [width << block for block in reversed(range(blocks + 1))]
        self.trunk = nn.Sequential(*(conv_block(now, then, "up", norm, "glu") for now, then in pairwise(channels)))
        self.refinements = nn.ModuleList(Refine(width, text, residuals, norm) for _ in scales[1:])
        self.to_pictures = nn.ModuleList(nn.Sequential(nn.Conv2d(width, 3, 3, 1, 1, bias=False), nn.Tanh()) for _ in scales)

    def forward(self, sentence: Tensor, noise: Tensor, words: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        mean, log_variance = F.glu(self.augment(sentence)).chunk(2, 1)
        condition = mean + (log_variance / 2).exp() * noise[:, self.noise :]
        seed = self.seed(torch.cat([noise[:, : self.noise], condition], 1))
        maps = [self.trunk(seed.view(-1, self.width, 4, 4))]
        for refine in self.refinements:
            maps.append(refine(maps[-1], words, mask))
        pictures = [to_picture(features) for to_picture, features in zip(self.to_pictures, maps, strict=True)]
        return pictures, mean, log_variance


class Discriminator(nn.Module):
    """Pictures and several texts each -> conditional logits `(texts, batch)`, and logits of the pictures alone `(batch,)`.

    The texts are joined as in the authors' code: each is repeated at each place beside the features, for one convolution.
    """

    def __init__(self, size: int, width: int, text: int, projection: int | None, norm: bool):
        super().__init__()
        downs = size.bit_length() - 3
        widths = [width << down for down in range(downs)]
        channels = min(widths[-1], 8 * width)
        blocks = [conv_block(3, width, "down", False, "leaky", bias=not norm)]
        blocks += [conv_block(now, then, "down", norm, "leaky") for now, then in pairwise(widths)]
        blocks += [
            conv_block(2 * width << down, width << down, "same", norm, "leaky") for down in reversed(range(3, downs - 1))
        ]
        self.encoder = nn.Sequential(*blocks)
        self.joint = conv_block(channels + text, channels, "same", norm, "leaky")
        self.head, self.head_alone = nn.Conv2d(channels, 1, 4), nn.Conv2d(channels, 1, 4)
        self.of_picture = nn.Linear(16 * channels, projection) if projection else None
        self.of_text = nn.Linear(text, projection) if projection else None

    def forward(self, pictures: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder(pictures)
        beside = texts.flatten(0, 1)[:, :, None, None].expand(-1, -1, 4, 4)
        joined = torch.cat([features.repeat(len(texts), 1, 1, 1), beside], 1)
        logits = self.head(self.joint(joined)).view(len(texts), -1)
        if self.of_picture is not None and self.of_text is not None:
            products = (self.of_picture(features.flatten(1)) * self.of_text(texts)).sum(2)
            logits = logits + products * self.of_picture.out_features**-0.5
        return logits, self.head_alone(features).view(-1)


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: bool):
        super().__init__()
        first = [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        self.blocks = nn.Sequential(*first, nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        projection = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
        self.shortcut = nn.Sequential(*(projection if shortcut else []))

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.blocks(features) + self.shortcut(features))


class PictureEncoder(nn.Module):
    """A frozen ResNet and DAMSM's projections: pictures, -1 to 1 -> regions `(batch, regions, dim)`, vector `(batch, dim)`."""

    def __init__(self, blocks: list[int], strides: list[int] | None, stem: int, dim: int):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 64, stem, 2, (stem - 1) // 2, bias=False), nn.BatchNorm2d(64)]
        layers += [nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for stage, count in enumerate(blocks):
            for block in range(count):
                stride = (strides or [1] + [2] * len(blocks))[stage] if block == 0 else 1
                layers.append(BasicBlock(channels, 64 << stage, stride, shortcut=block == 0 and stage > 0))
                channels = 64 << stage
        self.backbone = nn.Sequential(*layers)
        self.to_region, self.to_image = nn.Linear(channels, dim, bias=False), nn.Linear(channels, dim)
        for name, values in zip(("mean", "std"), IMAGENET, strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.backbone(((pictures + 1) / 2 - self.mean) / self.std).flatten(2).transpose(1, 2)
        return self.to_region(tokens), F.normalize(self.to_image(tokens.mean(1)), dim=1)


def other_texts(text: Tensor, mismatches: int, hard: int) -> Tensor:
    """Returns texts of other rows: those of the next ones, and the most similar ones, `(texts, batch, dim)`."""
    others = [text.roll(-shift, 0) for shift in range(1, mismatches + 1)]
    if hard:
        unit = F.normalize(text, dim=1)
        cosines = unit @ unit.T
        order = cosines.masked_fill(cosines > 1 - SAME, -1.0).argsort(1, descending=True)
        others += text[order[:, :hard]].unbind(1)
    return torch.stack(others)


def discriminator_loss(scores: tuple[Tensor, Tensor, Tensor, Tensor, Tensor], form: str, average: bool) -> Tensor:
    """Loss of one scale; the scores are `real`, `mismatched`, `generated`, `real_alone` and `generated_alone`."""

    def cost(logits: Tensor) -> Tensor:
        return (F.relu(1 + logits) if form == "hinge" else F.softplus(logits)).mean()

    real, mismatched, generated, real_alone, generated_alone = scores
    if average:
        return (cost(-real) + cost(-real_alone)) / 2 + (cost(mismatched) + cost(generated) + cost(generated_alone)) / 3
    return cost(-real) + 2 * cost(-real_alone) + cost(mismatched) + cost(generated) + cost(generated_alone)


def generator_loss(logits: Tensor, alone: Tensor, form: str) -> Tensor:
    """Loss of one scale."""
    return -(logits + alone).mean() if form == "hinge" else (F.softplus(-logits) + F.softplus(-alone)).mean()


def damsm_loss(seen: tuple[Tensor, Tensor], words: Tensor, mask: Tensor, sentence: Tensor, options: Any) -> Tensor:
    """DAMSM's loss of regions and vectors of pictures with words and vectors of captions, all pairs at once."""
    regions, vectors = seen
    shares = torch.einsum("ctd,ird->ictr", words, regions).masked_fill(~mask[None, :, :, None], MASKED).softmax(2)
    context = torch.einsum("ictr,ird->ictd", (options["gamma1"] * shares).softmax(3), regions)
    cosines = F.cosine_similarity(context, words[None], dim=3).masked_fill(~mask[None], MASKED)
    by_words = (options["gamma2"] * cosines).logsumexp(2)
    by_words = by_words / options["gamma2"] if options["word_score"] == "soft_maximum" else by_words
    right = torch.arange(len(words), device=words.device)
    logits = [options["gamma3"] * one for one in (by_words, vectors @ sentence.T)]
    return sum((F.cross_entropy(one, right) + F.cross_entropy(one.T, right) for one in logits), torch.tensor(0.0))


def weights_of(network: nn.Module) -> int:
    """Counts the weights of a network, without the running means of normalisations."""
    return sum(weight.numel() for weight in network.parameters())


class Trainer:
    """The networks of a recipe, their optimizers, and a batch in memory: random pictures and texts.

    Args:
        shape: The recipe as plain data; see `shape_of` in `gan_step.py`.
        device: `cpu` or `cuda`.
        compiled: Whether the networks run with `torch.compile`.
    """

    def __init__(self, shape: dict[str, Any], device: str, compiled: bool):
        self.shape, self.head, self.losses, self.device = shape, shape["head"], shape["losses"], device
        head, text = self.head, shape["text_dim"]
        norm, theirs = head["norm"] == "batch", head["discriminator_norm"] == "batch"
        sizes = max(8, head["width"]), head["noise"], head["condition"], head["residuals"]
        self.generator = Generator(head["scales"], *sizes, text, norm).to(device)
        made = [head["discriminator_width"], text, head["projection"], theirs]
        self.discriminators = [Discriminator(size, *made).to(device) for size in head["scales"]]
        self.encoder = PictureEncoder(**shape["encoder"], dim=shape["dim"]).to(device) if shape["encoder"] else None
        self.average = [weight.detach().clone() for weight in self.generator.parameters()]
        self.optimizer = self._adam("generator", self.generator)
        self.optimizers = [self._adam("discriminator", one) for one in self.discriminators]
        self.generate, self.encode, *self.score = (
            torch.compile(one) if compiled and one is not None else one
            for one in (self.generator, self.encoder, *self.discriminators)
        )
        self._fill_batch()

    def _adam(self, player: str, network: nn.Module) -> Any:
        options = self.shape["optimizers"][player]
        rate = options.get("learning_rate", 0.001)
        betas = options.get("beta_1", 0.9), options.get("beta_2", 0.999)
        eps = options.get("epsilon", 1e-7)
        return torch.optim.Adam(network.parameters(), rate if isinstance(rate, float) else 0.001, betas, eps)

    def _fill_batch(self) -> None:
        batch, words, dim = self.shape["batch"], self.shape["words"], self.shape["dim"] or 1
        self.real = [torch.rand(batch, 3, size, size, device=self.device) * 2 - 1 for size in self.head["scales"]]
        self.sentence, self.matched_sentence = (
            torch.randn(batch, size, device=self.device) for size in (self.shape["text_dim"], dim)
        )
        self.matched_sentence = F.normalize(self.matched_sentence, dim=1)
        self.words, self.matched_words = (
            torch.randn(batch, words, size, device=self.device) for size in (self.shape["text_dim"], dim)
        )
        lengths = torch.randint(words // 3, words + 1, (batch, 1), device=self.device)
        self.mask = torch.arange(words, device=self.device) < lengths.clamp(min=1)

    def step(self) -> None:
        """Trains the discriminators on detached pictures, then the generator."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.shape["bf16"]):
            noise = torch.randn(self.shape["batch"], self.head["noise"] + self.head["condition"], device=self.device)
            pictures, mean, log_variance = self.generate(self.sentence, noise, self.words, self.mask)
            self._train_discriminators([one.detach() for one in pictures])
            loss = self._generator_loss(pictures, mean, log_variance)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.shape["ema"] is not None:
            for average, weight in zip(self.average, self.generator.parameters(), strict=True):
                average.lerp_(weight.detach(), 1 - self.shape["ema"])

    def _train_discriminators(self, pictures: list[Tensor]) -> None:
        own, options = self.sentence[None], self.losses["discriminator"]
        others = other_texts(self.sentence, self.head["mismatches"], self.head["hard_mismatches"])
        same = (others - own).abs().amax(2) <= SAME
        for scale, optimizer in enumerate(self.optimizers):
            self.discriminators[scale].requires_grad_(True)
            logits, real_alone = self.score[scale](self.real[scale], torch.cat([own, others]))
            generated, generated_alone = self.score[scale](pictures[scale], own)
            scores = logits[0], logits[1:].masked_fill(same, MASKED), generated, real_alone, generated_alone
            loss = options["weight"] * discriminator_loss(scores, options["form"], options["average"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            self.discriminators[scale].requires_grad_(False)

    def _generator_loss(self, pictures: list[Tensor], mean: Tensor, log_variance: Tensor) -> Tensor:
        options, kl = self.losses["generator"], self.losses["kl"]
        scores = [score(picture, self.sentence[None]) for score, picture in zip(self.score, pictures, strict=True)]
        fooled = [generator_loss(logits, alone, options["form"]) for logits, alone in scores]
        loss = options["weight"] * torch.stack(fooled).sum()
        each = -0.5 * (1 + log_variance - mean**2 - log_variance.exp())
        loss = loss + kl["weight"] * (each.mean() if kl["reduction"] == "mean" else each.sum(1).mean())
        if self.encode is None:
            return loss
        options, seen = self.losses["damsm"], self.encode(pictures[-1])
        return loss + options["weight"] * damsm_loss(seen, self.matched_words, self.mask, self.matched_sentence, options)
