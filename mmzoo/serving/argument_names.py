"""Names of a signature's inputs: ASCII ones in a graph, since TensorFlow takes no others; the recipe's own for a server."""

from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2


def argument_name(name: str) -> str:
    """Returns the ASCII name of an input in a graph: the name itself, or `xn_` and its Punycode (RFC 3492)."""
    return name if name.isascii() else "xn_" + name.encode("punycode").decode().replace("-", "_")


def name_inputs(folder: Path, signatures: dict[str, tuple[str, ...]]) -> None:
    """Gives the inputs of a SavedModel's signatures the names of the recipe, under which a server takes them.

    `tf.saved_model.load` does not read these names; there the inputs keep their ASCII ones.

    Args:
        folder: Of the SavedModel.
        signatures: Signature -> its inputs.
    """
    file = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for signature, names in signatures.items():
        inputs = model.meta_graphs[0].signature_def[signature].inputs
        for name in names:
            if (argument := argument_name(name)) != name:
                inputs[name].CopyFrom(inputs[argument])
                del inputs[argument]
    file.write_bytes(model.SerializeToString(deterministic=True))
