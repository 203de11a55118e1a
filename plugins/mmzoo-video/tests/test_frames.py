"""The frames processor against Pillow: what is decoded, what is missing, and what cannot be read."""

import io
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from mmzoo_video.frames import Frames
from PIL import Image

from mmzoo import FeatureSpec, MmzooError, Processed, Processor
from mmzoo.registry.discovery import discover
from mmzoo.testing import ProcessorCase
from mmzoo.testing.subject import subject_of

pytestmark = pytest.mark.slow

SIZE = 12
DAMAGED = "the picture's data is damaged"


def drawing(seed: int, height: int = SIZE, width: int = SIZE) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(seed: int, kind: str = "PNG", height: int = SIZE, width: int = SIZE) -> bytes:
    target = io.BytesIO()
    drawing(seed, height, width).save(target, format=kind)
    return target.getvalue()


def pillow(data: bytes) -> np.ndarray:
    """Decodes a picture and fits it into a square by stretching it."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def made(**options) -> Frames:
    """Makes the processor as a recipe does."""
    options = {"picture": {"type": "image", "size": SIZE, "fit": "stretch"}} | options
    return subject_of(ProcessorCase("frames", [], options=options), discover(), None).bound.make()


@cache
def reader(frames: int, animated: bool = False):
    """Makes a processor as one graph, since an eager call traces the decoding of pictures each time."""
    processor = made(frames=frames, animated=animated)
    spec = tf.TensorSpec([None, *processor.raw.shape], tf.string)
    return tf.function(processor, input_signature=[spec], autograph=False)


def read(clips: list[list[bytes]], frames: int = 4) -> Processed:
    return reader(frames)(tf.ragged.constant(clips, tf.string, ragged_rank=1).to_tensor())


def test_decodes_the_middle_frames_as_pillow_does_whatever_their_sizes_and_kinds():
    clip = [encoded(seed, kind) for seed, kind in enumerate(["PNG", "JPEG", "GIF", "BMP"] * 3)]
    clip[4:8] = [encoded(50, "JPEG", 30, 17), encoded(51, "PNG", 5, 24), encoded(52, "BMP", 12, 40), encoded(53, "PNG", 1, 1)]
    found = read([clip])
    assert found.fault.numpy().tolist() == [b""]
    assert found.mask.numpy().tolist() == [[True] * 4]
    expected = [pillow(clip[place]) for place in (1, 4, 7, 10)]
    assert np.abs(found.features[0].numpy().astype(int) - expected).max() <= 1


def test_a_short_clip_is_masked_behind_its_end_and_nothing_is_invented():
    clip = [encoded(1), encoded(2)]
    found = read([clip, [encoded(seed) for seed in range(9)]])
    assert found.mask.numpy().tolist() == [[True, True, False, False], [True] * 4]
    np.testing.assert_array_equal(found.features[0, :2], [pillow(data) for data in clip])
    assert not found.features[0, 2:].numpy().any()
    assert found.fault.numpy().tolist() == [b"", b""]


def test_a_missing_frame_is_masked_in_its_place():
    found = read([[encoded(1), b"", b"", encoded(2)], [b"", encoded(3)]])
    assert found.mask.numpy().tolist() == [[True, False, False, True], [False, True, False, False]]
    np.testing.assert_array_equal(found.features[0, 3], pillow(encoded(2)))
    assert not found.features[0, 1].numpy().any()
    assert found.fault.numpy().tolist() == [b"", b""]


@pytest.mark.parametrize("frames", [1, 3])
def test_padding_of_a_batch_changes_nothing(frames):
    clips = [[encoded(seed) for seed in range(length)] for length in (1, 2, 3, 7)]
    together = read([*clips, [encoded(9)] * 20], frames)
    for row, clip in enumerate(clips):
        alone = read([clip], frames)
        np.testing.assert_array_equal(together.features[row], alone.features[0])
        np.testing.assert_array_equal(together.mask[row], alone.mask[0])


def test_a_damaged_frame_fails_its_clip_alone_and_is_numbered_from_one():
    good = [encoded(seed) for seed in range(4)]
    damaged = [*good[:2], encoded(5)[:50], b"x"]
    found = read([good, damaged, good[:1]])
    assert found.fault.numpy().tolist() == [b"", f"frame 3: {DAMAGED}".encode(), b""]
    np.testing.assert_array_equal(found.features[0], [pillow(data) for data in good])
    np.testing.assert_array_equal(found.features[2, 0], pillow(good[0]))
    assert found.mask.numpy().tolist() == [[True] * 4, [True] * 4, [True, False, False, False]]  # damaged is not missing


def test_the_number_is_that_of_the_frame_in_the_clip():
    clip = [encoded(0)] * 12
    clip[7] = b"no picture"
    assert read([clip]).fault.numpy().tolist() == [b"frame 8: this is not a JPEG, PNG, GIF or BMP picture"]
    clip[7], clip[6] = clip[6], clip[7]  # a frame that is not looked at
    assert read([clip]).fault.numpy().tolist() == [b""]


@pytest.mark.parametrize("clips", [[[]], [[b""]], [[b"", b"", b"", b"", b""]], [[], [b""]]])
def test_a_clip_of_no_frames_is_a_fault_and_masked(clips):
    found = read(clips)
    assert found.fault.numpy().tolist() == [b"there is no frame"] * len(clips)
    assert not found.mask.numpy().any()
    assert found.features.shape == (len(clips), 4, SIZE, SIZE, 3)


def test_a_batch_of_no_clips():
    found = reader(4)(tf.zeros([0, 5], tf.string))
    assert found.features.shape == (0, 4, SIZE, SIZE, 3)
    assert (found.mask.shape, found.fault.shape) == ((0, 4), (0,))


@pytest.mark.parametrize(
    "picture",
    [
        {"type": "vectors", "dim": 3},
        {"type": "words"},
        {"type": "frames", "animated": True, "picture": {"type": "image", "size": SIZE}},
    ],
)
def test_what_reads_no_single_picture_is_refused(picture):
    with pytest.raises(MmzooError) as error:
        made(picture=picture)
    what = f"frames: option picture: expected a processor of encoded pictures, '{picture['type']}' is not one."
    assert str(error.value) == f"{what}\nGive one such as {{type: image, size: 64}}."


def test_features_and_where_a_person_has_a_clip():
    processor = made(frames=5)
    assert processor.features == {"shape": [5, SIZE, SIZE, 3], "dtype": "uint8", "vocabulary": None, "mask": [5]}
    assert processor.raw == tf.TensorSpec([None], tf.string)
    assert made(animated=True).raw == tf.TensorSpec([], tf.string)
    assert processor.from_file


def test_all_frames_of_a_batch_are_decoded_in_one_call():
    calls = []

    class Lengths(Processor):
        features = FeatureSpec(shape=[], dtype="int32", vocabulary=None)
        from_file = True

        def __call__(self, raw):
            calls.append(raw.numpy().tolist())
            return Processed(tf.strings.length(raw), tf.fill(tf.shape(raw), ""))

    found = Frames(picture=Lengths, frames=2)(tf.constant([[b"a", b"bb", b""], [b"ccc", b"", b""]]))
    assert calls == [[b"a", b"bb", b"ccc"]]
    assert found.features.numpy().tolist() == [[1, 2], [3, 0]]


def test_a_picture_processor_that_learns_sees_the_frames_that_are_looked_at(tmp_path):
    class Learning(Processor):
        features = FeatureSpec(shape=[], dtype="int32", vocabulary=None)
        from_file = True

        def adapt(self, values):
            self.seen = [value.decode() for value in values.as_numpy_iterator()]

        def save(self, folder):
            (folder / "seen.txt").write_text(" ".join(self.seen))

        def load(self, folder):
            self.seen = (folder / "seen.txt").read_text().split()

    clips = tf.data.Dataset.from_generator(
        lambda: iter([["a", "b", "c", "d"], ["", "e"], []]), output_signature=tf.TensorSpec([None], tf.string)
    )
    processor, again = (Frames(picture=Learning, frames=2) for _ in range(2))
    processor.adapt(clips)
    processor.save(tmp_path)
    again.load(tmp_path)
    assert again.picture.seen == ["b", "d", "e"]


def test_served_from_a_saved_model(tmp_path):
    processor = made(frames=3)
    module = tf.Module()
    module.processor = processor
    spec = tf.TensorSpec([None, None], tf.string, name="video")
    module.serve = tf.function(lambda video: processor(video)._asdict(), input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    raw = tf.constant([[encoded(seed, "JPEG") for seed in range(7)], [encoded(8), *[b""] * 6], [b"x", *[b""] * 6], [b""] * 7])
    expected = reader(3)(raw)
    for name, value in served(video=raw).items():
        np.testing.assert_array_equal(value, getattr(expected, name))
    for short in (raw[:, :1], raw[:, :0]):
        np.testing.assert_array_equal(served(video=short)["mask"], reader(3)(short).mask)


# Animations


def animation(count: int) -> bytes:
    target = io.BytesIO()
    first, *rest = (drawing(seed).quantize(32) for seed in range(count))
    first.save(target, format="GIF", save_all=True, append_images=rest)
    return target.getvalue()


def test_animations_are_clips_and_are_served(tmp_path):
    raw = tf.constant([animation(10), b"", animation(2), b"GIF89a", b"x"])
    found = reader(3, animated=True)(raw)
    none, damaged, no_gif = "there is no frame", "the animation's data is damaged", "this is not a GIF"
    assert [one.decode() for one in found.fault.numpy()] == ["", none, "", damaged, no_gif]
    # What is damaged is not missing: its fault counts whatever else an example has.
    assert found.mask.numpy().tolist() == [[True] * 3, [False] * 3, [True, True, False], [True] * 3, [True] * 3]
    shown = Image.open(io.BytesIO(animation(10)))
    for place, number in enumerate((1, 5, 8)):
        shown.seek(number)
        np.testing.assert_array_equal(found.features[0, place], np.asarray(shown.convert("RGB")))
    assert not found.features[1].numpy().any()

    processor, module = made(frames=3, animated=True), tf.Module()
    module.processor = processor
    spec = tf.TensorSpec([None], tf.string, name="video")
    module.serve = tf.function(lambda video: processor(video)._asdict(), input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](video=raw)
    for name, value in served.items():
        np.testing.assert_array_equal(value, getattr(found, name))


def test_what_is_transparent_in_an_animation_is_white_as_in_a_png():
    clear = Image.new("RGBA", (SIZE, SIZE))
    clear.paste((255, 0, 0, 255), (2, 2, 5, 5))
    target = io.BytesIO()
    clear.save(target, format="GIF")
    found = reader(3, animated=True)(tf.constant([target.getvalue()])).features[0, 0].numpy()
    assert (found[2:5, 2:5] == [255, 0, 0]).all()
    assert (found[5:] == 255).all()
