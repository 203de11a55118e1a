"""The processor `image`: encoded pictures -> pixels. A picture that cannot be decoded is a fault of its own row only."""

import tensorflow as tf

from mmzoo import FeatureSpec, MmzooError, PositiveInt, Processed, Processor
from mmzoo_image.fitting import Fit, Interpolation, Square
from mmzoo_image.squares import Squares, read_squares


class Image(Processor):
    """Decodes JPEG, PNG, GIF and BMP pictures into square RGB pixels.

    Returns `(batch, size, size, 3)`, uint8, 0 to 255. Transparent pixels become white; in a GIF they become black. Only the
    first frame of an animation is read. A JPEG is turned upright as its EXIF orientation says; with damaged EXIF it is left as
    it is stored. JPEG is decoded with the exact integer DCT, at an eighth, a quarter or half of its size if that is still three
    times the size asked for. Resizing is antialiased. Both are as in Pillow.

    A picture whose header claims more than `max_pixels` is not decoded. Such a picture, or damaged data, does not fail the
    batch: its row is white and has a fault.

    Args:
        size: Height and width of the result in pixels.
        fit: How a picture becomes square. `pad` keeps the aspect ratio and pads with white, `crop` keeps the central square,
            `stretch` changes the aspect ratio. `resize_crop` resizes the shorter side to `shorter_side` and then keeps the
            central square, as CLIP's preprocessing and that of ImageNet's classifiers do.
        shorter_side: For `resize_crop`: the shorter side before the central square is cut out, at least `size`, which is the
            default. ImageNet's 87.5 % are 256 for a `size` of 224.
        interpolation: `bilinear`, or `bicubic` (Keys 1981, a = -0.5).
        max_pixels: The most pixels that a header may claim. A PNG of 64 million takes about 330 MB while it is decoded.
    """

    modality = "image"
    from_file = True

    def __init__(
        self,
        *,
        size: PositiveInt = 224,
        fit: Fit = "pad",
        shorter_side: PositiveInt | None = None,
        interpolation: Interpolation = "bilinear",
        max_pixels: PositiveInt = 64_000_000,
    ):
        super().__init__(name="image")
        if shorter_side is not None and (fit != "resize_crop" or shorter_side < size):
            what = f"image: option shorter_side: {shorter_side} does not go with size: {size} and fit: {fit}."
            raise MmzooError(f"{what}\nIt belongs to fit: resize_crop and is at least size. Change it, or leave it out.")
        self.size = size
        self.squares = Squares(Square(size, fit, shorter_side or size, interpolation), max_pixels)

    @property
    def features(self) -> FeatureSpec:
        return FeatureSpec(shape=[self.size, self.size, 3], dtype="uint8", vocabulary=None)

    def __call__(self, raw: tf.Tensor) -> Processed:
        return Processed(*read_squares(self.squares, raw))

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        """Encodes pixels `(batch, height, width, 3)`, 0 to 255, as PNG bytes `(batch,)`."""
        pixels = tf.cast(tf.round(tf.clip_by_value(tf.cast(values, tf.float32), 0, 255)), tf.uint8)
        return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)
