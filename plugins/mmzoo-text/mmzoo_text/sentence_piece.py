"""A SentencePiece model that outlives the kernel that made it."""

from hashlib import sha256

import tensorflow as tf
from tensorflow_text.python.ops.sentencepiece_tokenizer import gen_sentencepiece_tokenizer


class SentencePieceModel(tf.saved_model.experimental.TrackableResource):
    """The resource of TensorFlow Text's SentencePiece ops, by a name that models with the same bytes share.

    Without a name, the kernel of the op owns the resource, and `tf.random.set_seed` drops all eager kernels.

    Args:
        model: The serialised model.
    """

    def __init__(self, model: bytes):
        super().__init__()
        self.model = model
        _ = self.resource_handle  # makes the resource

    def _create_resource(self) -> tf.Tensor:
        name = f"sentence_piece_{sha256(self.model).hexdigest()}"
        return gen_sentencepiece_tokenizer.sentencepiece_op(model=self.model, shared_name=name)
