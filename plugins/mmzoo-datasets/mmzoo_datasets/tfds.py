"""The data set `tfds`: any data set of TensorFlow Datasets, by its name."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_datasets as tfds

from mmzoo import SPLITS, Card, DataError, FilePath, suggest
from mmzoo_datasets.built import prepare


class TFDS:
    """Reads any data set of TensorFlow Datasets by its name.

    Each feature is a field; pictures stay encoded. The name of a nested feature is its path, such as `captions/text`. A
    sequence is a list, so the five captions of a COCO picture are the five values of one example. A class label is text, its
    name. Features that are neither a value nor a list of values are left out; the description of the data set lists them.

    If the data is not on this machine, TFDS downloads and prepares it.

    Args:
        name: Name in TFDS: `coco_captions`, `flic/small`, `namespace:name`.
        config: Configuration of the builder; may also be the part of `name` after the slash.
        version: Version of the data, such as `1.1.0`; the newest if not given.
        data_dir: Data folder of TFDS; its default folder if not given.
        splits: Split of mmzoo (train, validation, test) -> split of TFDS, with slices: `{train: 'train[:90%]', validation:
            'train[90%:]', test: test}`. If not given, the splits of TFDS with these three names.
    """

    def __init__(
        self,
        *,
        name: str,
        config: str | None = None,
        version: str | None = None,
        data_dir: FilePath | None = None,
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
        info, features = self.builder.info, list(_fields(self.builder.info.features))
        left_out = ", ".join(f"{field.name} ({field.about})" for field in features if not field.fits)
        return Card(
            fields={field.name: field.about for field in features if field.fits},
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
            prepare(self.builder)
        except Exception as error:  # a builder is third-party code and may raise any exception
            reason = " ".join(str(error).split())[:300]
            what = f"TFDS cannot prepare '{self.name}' in {self.builder.data_dir}: {type(error).__name__}: {reason}"
            advice = f"Prepare it where that works (`tfds build {self.name}`), and pass that folder as `data_dir`."
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
    """A leaf of the tree of features.

    Args:
        path: Its keys, from the root of the features.
        leaf: The feature, or the element of a sequence.
        info: Shape and dtype of its value.
    """

    path: tuple[str, ...]
    leaf: Any
    info: Any

    @property
    def name(self) -> str:
        return "/".join(self.path)

    @property
    def fits(self) -> bool:
        """Whether its value is a scalar or a list."""
        return isinstance(self.info, tfds.features.TensorInfo) and self.rank <= 1

    @property
    def rank(self) -> int:
        # An encoded picture is a scalar: its bytes.
        return len(self.info.shape) - (3 if isinstance(self.leaf, tfds.features.Image) else 0)

    @property
    def about(self) -> str:
        if not isinstance(self.info, tfds.features.TensorInfo):
            return "nested"
        if not self.fits:
            return f"{self.kind} of shape {self.info.shape}"
        value = "encoded picture, bytes" if isinstance(self.leaf, tfds.features.Image) else self.kind
        return f"{value}; several" if self.rank else value

    @property
    def kind(self) -> str:
        return "text" if self.labels or self.info.tf_dtype == tf.string else str(tf.as_dtype(self.info.tf_dtype).name)

    @property
    def labels(self) -> list[str]:
        return (self.leaf.names or []) if isinstance(self.leaf, tfds.features.ClassLabel) else []

    def value(self, example: Mapping[str, Any]) -> tf.Tensor:
        """Returns its value in an example; a class label as its name, an unknown label (-1) as an empty text."""
        value: Any = example
        for key in self.path:
            value = value[key]
        return tf.gather(tf.constant(["", *self.labels]), value + 1) if self.labels else value


def _fields(feature: Any, path: tuple[str, ...] = (), many: bool = False) -> Iterator[_Field]:
    """Iterates over the leaves of a tree of features; `many` if the tree is in a sequence."""
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
    except Exception as error:  # a builder is third-party code and may raise any exception
        raise DataError(f"TFDS cannot open '{name}': {' '.join(str(error).split())[:300]}") from error
