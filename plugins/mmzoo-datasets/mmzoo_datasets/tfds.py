"""Any TFDS builder by its name, as an mmzoo data set."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_datasets as tfds

from mmzoo import SPLITS, Card, DataError, suggest


class TFDS:
    """Reads a TFDS data set by its name, pictures as they are encoded.

    Its features are fields; a nested one's name is its path, such as `captions/text`. A sequence is a list, so the five
    captions of a COCO picture are the five values of one example. A class label is its name, text. FeatureSpec that are
    neither a value nor a list of values are left out; the card names them.

    What is not on this machine is downloaded and prepared by TFDS.

    Args:
        name: As TFDS names it: `coco_captions`, `flic/small`, `namespace:name`.
        config: Of the builder; also the part of `name` after the slash.
        version: Of the data, such as `1.1.0`; the newest if not given.
        data_dir: Where TFDS keeps its data; its own folder if not given.
        splits: Split of mmzoo (train, validation, test) -> what TFDS reads for it, slices included: `{train: 'train[:90%]',
            validation: 'train[90%:]', test: test}`. Those of the three that TFDS has by that name, if not given.
    """

    def __init__(
        self,
        *,
        name: str,
        config: str | None = None,
        version: str | None = None,
        data_dir: str | None = None,
        splits: dict[str, str] | None = None,
    ):
        self.name, self._chosen = name, splits
        self.builder = _builder(name, config=config, version=version, data_dir=data_dir)
        for split in splits or {}:
            if split not in SPLITS:
                raise DataError(f"option splits: there is no split '{split}'.\n{suggest(split, SPLITS)}")
        self._check_splits()

    @property
    def card(self) -> Card:
        info, found = self.builder.info, list(_fields(self.builder.info.features))
        left_out = ", ".join(f"{field.name} ({field.about})" for field in found if not field.fits)
        return Card(
            fields={field.name: field.about for field in found if field.fits},
            sizes={split: info.splits[spec].num_examples for split, spec in self._splits.items()} if info.splits else {},
            about=f"TFDS {info.full_name}." + (f" Left out: {left_out}." if left_out else ""),
            source=info.homepage,
            licence=info.redistribution_info.license,
            needs=self._needs,
        )

    def prepare(self) -> None:
        if not self._needs:
            return
        try:
            self.builder.download_and_prepare()
        except Exception as error:  # a builder is anybody's code, and raises what it likes
            reason = " ".join(str(error).split())[:300]
            what = f"TFDS cannot make '{self.name}' in {self.builder.data_dir}: {type(error).__name__}: {reason}"
            advice = (
                f"Make it where it can be had (`tfds build {self.name}`), and name the folder that holds it with `data_dir`."
            )
            raise DataError(f"{what}\n{advice}") from error
        self._check_splits()

    def splits(self) -> Mapping[str, tf.data.Dataset]:
        fields = [field for field in _fields(self.builder.info.features) if field.fits]
        decoders: dict[str, Any] = {}
        for field in fields:
            if isinstance(field.leaf, tfds.features.Image):
                _put(decoders, field.path, tfds.decode.SkipDecoding())

        def flat(example: Mapping[str, Any]) -> dict[str, Any]:
            return {field.name: field.value(example) for field in fields}

        return {
            split: self.builder.as_dataset(split=spec, decoders=decoders, shuffle_files=False).map(flat, tf.data.AUTOTUNE)
            for split, spec in self._splits.items()
        }

    @property
    def _splits(self) -> dict[str, str]:
        known = self.builder.info.splits  # none until the data is prepared
        return self._chosen or {split: split for split in SPLITS if not known or split in known}

    @property
    def _needs(self) -> str:
        if self.builder.is_prepared():
            return ""
        size = self.builder.info.download_size
        return f"TFDS downloads and prepares '{self.name}' in {self.builder.data_dir}" + (f", {size}" if size else "")

    def _check_splits(self) -> None:
        known = self.builder.info.splits
        if not known:
            return
        for spec in self._splits.values():
            try:
                _ = known[spec]
            except (KeyError, ValueError, AssertionError) as error:
                what = f"TFDS' '{self.name}' has no split '{spec}'."
                raise DataError(f"option splits: {what}\n{suggest(spec.partition('[')[0], sorted(known))}") from error
        if "train" not in self._splits:
            what = f"there is no split to train on; those of TFDS' '{self.name}' are {', '.join(sorted(known))}."
            raise DataError(f"option splits: {what}\nName it as in `splits: {{train: {min(known)}}}`.")


class _Field(NamedTuple):
    """A feature without parts.

    Args:
        path: Where it is among the features.
        leaf: What it is, or what it is a sequence of.
        info: Shape and type of its value.
    """

    path: tuple[str, ...]
    leaf: Any
    info: Any

    @property
    def name(self) -> str:
        return "/".join(self.path)

    @property
    def fits(self) -> bool:
        """Whether it is a value or a list of values."""
        return isinstance(self.info, tfds.features.TensorInfo) and self.rank <= 1

    @property
    def rank(self) -> int:
        # A picture is one value: its bytes.
        return len(self.info.shape) - (3 if isinstance(self.leaf, tfds.features.Image) else 0)

    @property
    def about(self) -> str:
        if not isinstance(self.info, tfds.features.TensorInfo):
            return "nested"
        if not self.fits:
            return f"{self.kind} of shape {self.info.shape}"
        one = "encoded picture, bytes" if isinstance(self.leaf, tfds.features.Image) else self.kind
        return f"{one}; several" if self.rank else one

    @property
    def kind(self) -> str:
        return "text" if self.labels or self.info.tf_dtype == tf.string else str(tf.as_dtype(self.info.tf_dtype).name)

    @property
    def labels(self) -> list[str]:
        return (self.leaf.names or []) if isinstance(self.leaf, tfds.features.ClassLabel) else []

    def value(self, example: Mapping[str, Any]) -> tf.Tensor:
        """Takes its value from an example; a class is named, an unknown one (-1) by an empty text."""
        found: Any = example
        for key in self.path:
            found = found[key]
        return tf.gather(tf.constant(["", *self.labels]), found + 1) if self.labels else found


def _fields(feature: Any, path: tuple[str, ...] = (), many: bool = False) -> Iterator[_Field]:
    """Iterates over the features that have no parts; `many` if they are parts of a sequence."""
    sequence = isinstance(feature, tfds.features.Sequence) and not isinstance(feature, tfds.features.Dataset) and not many
    inner = feature.feature if sequence else feature
    if isinstance(inner, tfds.features.FeaturesDict):
        for key, part in inner.items():
            yield from _fields(part, (*path, key), many or sequence)
    else:
        info = tfds.features.Sequence(feature).get_tensor_info() if many else feature.get_tensor_info()
        yield _Field(path, inner, info)


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _builder(name: str, **options: str | None) -> Any:
    given = {key: value for key, value in options.items() if value is not None}
    try:
        return tfds.builder(name, **given)
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        raise DataError(f"TFDS has no data set '{name}'.\n{suggest(name.partition('/')[0], known)}") from error
    except Exception as error:  # a builder is anybody's code, and raises what it likes
        raise DataError(f"TFDS cannot open '{name}': {' '.join(str(error).split())[:300]}") from error
