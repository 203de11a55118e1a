"""An export counts once a process without mmzoo and Keras, and the loader of a server, answer as the task does."""

import importlib.util
import json
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mmzoo.contracts.progress import Screen
from mmzoo.errors import ExportError
from mmzoo.recipe.settings import Export
from mmzoo.run.folder import Run
from mmzoo.serving.argument_names import argument_name
from mmzoo.serving.audit import audit, text_libraries
from mmzoo.serving.export import export
from mmzoo.serving.predict import Exported, _signatures
from mmzoo.serving.verify_export import by_saved_model, decoded, encoded

pytestmark = pytest.mark.slow

QUIET = Screen(quiet=True)


class Stand(tf.Module):
    """Stands for a served task with one signature of one input."""

    default = "say"

    def __init__(self, function: Any, raw: tf.TensorSpec | None = None):
        super().__init__()
        self.raw = raw or tf.TensorSpec((), tf.string)
        self.answers = {"say": SimpleNamespace(reads={}, inputs=("given",), seed="")}
        self.functions = {"say": tf.function(function, input_signature=[self.spec("given")], autograph=False)}

    def spec(self, name: str) -> tf.TensorSpec:
        return tf.TensorSpec((None, *self.raw.shape), self.raw.dtype, name=name)


def stand_data(values: Any) -> Any:
    batches = [{"given": tf.constant(values)}]
    read = {"held_out": lambda: "test", "raw_batches": lambda split, count: batches, "check_again": lambda *_: None}
    return SimpleNamespace(**read, processors={"given": None})


def write(folder: Path, served: Any, values: Any = ("a", "b c"), version: int = 1) -> Path:
    plan: Any = SimpleNamespace(export=Export(version=version, examples=2))
    return export(plan, Run(folder), served, stand_data(values), QUIET)


def greeting(word: str) -> Stand:
    return Stand(lambda given: {"text": tf.strings.join([word, given]), "size": tf.cast(tf.strings.length(given), tf.float32)})


@pytest.fixture
def asked(monkeypatch, ask_here) -> list[dict]:
    """Answers in this process, by both loaders, what the fresh one would be asked, and keeps the requests."""
    requests: list[dict] = []

    def answer(request):
        requests.append(request)
        return ask_here(request)

    monkeypatch.setattr("mmzoo.serving.export._ask_fresh_process", answer)
    return requests


# A whole task with an input whose name TensorFlow does not take, through the fresh process


@pytest.fixture(scope="module")
def toy_world(toy_world):
    recipe = toy_world / "r.yaml"
    recipe.write_text(recipe.read_text("utf-8").replace("image:", "图片:"), "utf-8")
    return toy_world


@pytest.fixture(scope="module")
def exported(served_toy, tmp_path_factory):
    """Exports a toy; keeps what the fresh process imported, and what lay in the export's folder before it had answered."""
    imported, seen, run_process = [], [], subprocess.run
    run = Run(tmp_path_factory.mktemp("run"))

    def watched(command, **options):
        seen.extend((path.name, (path / "saved_model.pb").exists()) for path in run.export.iterdir())
        done = run_process([command[0], "-X", "importtime", *command[1:]], **options)
        imported.extend(re.findall(r"\| +(\S+)$", done.stderr, re.MULTILINE))
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "run", watched)
        folder = export(served_toy.plan, run, served_toy.served, served_toy.data, QUIET)
    return SimpleNamespace(folder=folder, imported=imported, seen=seen, run=run)


def test_an_export_has_its_number_only_when_it_has_answered(exported):
    assert exported.folder == exported.run.export / "1"
    assert [path.name for path in exported.run.export.iterdir()] == ["1"]
    assert exported.run.contents() == ["an exported model"]
    ((name, whole),) = exported.seen
    assert whole
    assert name.startswith(".")  # no server takes it for a version


def test_the_fresh_process_imports_neither_mmzoo_nor_keras(exported):
    assert "tensorflow" in exported.imported
    assert [name for name in exported.imported if re.match(r"(mmzoo|keras|tf_keras)\b", name)] == []


def test_the_exported_model_answers_as_the_task(served_toy, exported):
    signatures = tf.saved_model.load(exported.folder).signatures
    assert set(signatures) == {"serving_default", "answer"}
    raw = next(iter(served_toy.data.raw_batches("test", 4)))["图片"]
    expected = served_toy.served.functions["answer"](raw)
    for signature in signatures.values():
        found = signature(**{argument_name("图片"): raw})
        assert {name: value.dtype for name, value in found.items()} == {name: v.dtype for name, v in expected.items()}
        for name, value in expected.items():
            assert_close(found[name].numpy(), value.numpy())
    own = Exported(exported.folder, _signatures(exported.folder), frozenset())
    assert [list(inputs) for inputs in own.signatures.values()] == [["图片"], ["图片"]]
    for name, value in own.predict({"图片": raw}).items():
        assert_close(value, expected[name].numpy())


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    same = np.testing.assert_allclose if expected.dtype.kind == "f" else np.testing.assert_array_equal
    same(found, expected, **{"rtol": 1e-5} if expected.dtype.kind == "f" else {})


# What counts and what is left behind


def test_a_second_export_replaces_the_version_and_leaves_others(tmp_path, asked):
    write(tmp_path, greeting("hello "))
    other = write(tmp_path, greeting("hi "), version=2)
    (other / "old").touch()
    write(tmp_path, greeting("goodbye "), version=2)
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == ["1", "2"]
    assert not (other / "old").exists()
    inputs, arguments = asked[0]["inputs"], asked[0]["arguments"]
    answers = [by_saved_model(str(tmp_path / "export" / name), inputs, arguments)["say"][1]["text"] for name in "12"]
    assert [decoded(answer).tolist() for answer in answers] == [[b"hello a"], [b"goodbye a"]]


def test_the_model_is_asked_no_rows_one_blank_ones_and_many(tmp_path, asked):
    write(tmp_path, greeting("hello "))
    (request,) = asked
    given = [decoded(batch["given"]).tolist() for batch in request["inputs"]["say"]]
    assert given == [[], [b"a"], [b"", b""], [b"a", b"b c", b""] * 11]
    assert request["libraries"] == []


OTHER = "and the task give different answers: output '{}' of say, loaded by the loader."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": [1.0, 3.001, 0.0]}, OTHER.format("size")),
        ({"size": [1.0, 3.0]}, OTHER.format("size")),
        ({"size": [1.0, float("nan"), 0.0]}, OTHER.format("size")),
        ({"text": [b"", b"", b""]}, OTHER.format("text")),
        ({"text": [b"hello a", b"", b"hello "], "size": [1.0, 3.001, 0.0]}, OTHER.format("text")),
        ({"more": []}, "has other outputs in say, loaded by the loader: ['more', 'size', 'text'], expected ['size', 'text']."),
    ],
)
def test_another_answer_fails_the_export_and_leaves_the_earlier_one(tmp_path, asked, monkeypatch, change, message):
    served = greeting("hello ")
    before = contents(write(tmp_path, served))
    answer_otherwise(monkeypatch, change)
    with pytest.raises(ExportError) as raised:
        write(tmp_path, served)
    assert str(raised.value) == f"the exported model {message}"
    assert [path.name for path in (tmp_path / "export").iterdir()] == ["1"]
    assert contents(tmp_path / "export" / "1") == before


def answer_otherwise(monkeypatch, change: dict[str, list[Any]]) -> None:
    """Lets the exported model answer "a", "b c" and "" otherwise in the largest batch, where they are repeated."""

    def otherwise(request):
        answers = by_saved_model(request["folder"], request["inputs"], request["arguments"])
        for name, values in change.items():
            repeated = np.array((values * 17)[:33], object if name == "text" else "float32")
            answers["say"][3][name] = encoded(repeated if len(values) != 2 else repeated[:32])
        return {"the loader": answers}

    monkeypatch.setattr("mmzoo.serving.export._ask_fresh_process", otherwise)


def test_a_row_whose_answers_tie_may_give_the_other_one(tmp_path, monkeypatch, capsys):
    answer_otherwise(monkeypatch, {"text": [b"hello a", b"hi b c", b"hello "]})
    served = greeting("hello ")
    plan: Any = SimpleNamespace(export=Export(examples=2))
    export(plan, Run(tmp_path), served, stand_data(["a", "b c"]), Screen())
    assert "export    11 rows have other answers of the same score in say, loaded by the loader" in capsys.readouterr().out


@pytest.mark.parametrize(("precision", "close"), [("float32", 1e-5), ("mixed_float16", 1e-3), ("mixed_bfloat16", 1e-2)])
def test_how_close_an_answer_must_be_depends_on_the_precision(tmp_path, monkeypatch, precision, close):
    plan: Any = SimpleNamespace(export=Export(examples=2, precision=precision))
    for difference, is_close in ((close, True), (100 * close, False)):
        answer_otherwise(monkeypatch, {"size": [1.0, 3.0 * (1 + difference), 0.0]})
        with nullcontext() if is_close else pytest.raises(ExportError, match="different answers"):
            export(plan, Run(tmp_path), greeting("hello "), stand_data(["a", "b c"]), QUIET)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_number_that_is_none_may_be_answered_if_the_task_does(tmp_path, asked):
    write(tmp_path, Stand(lambda given: {"out": tf.cast(tf.strings.length(given), tf.float32) * float("nan")}))


@pytest.mark.parametrize(
    ("code", "out", "reason"),
    [
        (
            0,
            json.dumps({"reason": "ValueError, the loader: no kernel.\nUse\nanother."}),
            "ValueError, the loader: no kernel.\nUse\nanother.",
        ),
        (-9, "", "SIGKILL ended it.\none line\nanother"),
        (1, "half of", "exit code 1.\none line\nanother"),
    ],
)
def test_a_fresh_process_that_fails_says_why(tmp_path, monkeypatch, code, out, reason):
    asked = {}

    def failed(command, **options):
        asked.update(options)
        return subprocess.CompletedProcess(command, code, out, "one line\nanother\n")

    monkeypatch.setattr(subprocess, "run", failed)
    with pytest.raises(ExportError) as raised:
        write(tmp_path, greeting("hello "))
    assert str(raised.value) == f"the exported model does not load or answer in a fresh process: {reason}"
    assert asked["env"]["CUDA_VISIBLE_DEVICES"] == ""
    assert list((tmp_path / "export").iterdir()) == []
    assert Run(tmp_path).contents() == []


def test_a_fresh_process_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("mmzoo.serving.export.SECONDS", 0.06)
    with pytest.raises(ExportError) as raised:
        write(tmp_path, greeting("hello "))
    what = "the exported model does not load or answer in a fresh process"
    assert str(raised.value) == f"{what}: it has not answered within 0 minutes."


def test_numbers_are_asked_in_their_own_type(tmp_path, asked):
    served = Stand(lambda given: {"sum": tf.reduce_sum(given, axis=1)}, tf.TensorSpec((2,), tf.float32))
    write(tmp_path, served, np.array([[1.5, 2], [3, 4]], "float32"))
    many = decoded(asked[0]["inputs"]["say"][3]["given"])
    assert many.dtype == "float32"
    assert many[:3].tolist() == [[1.5, 2.0], [3.0, 4.0], [0.0, 0.0]]


# What a stock server cannot run or say


@tf.function(jit_compile=True)
def fast(numbers):
    return numbers * 2


def in_a_loop(given):
    def step(i, text):
        return i + 1, tf.ensure_shape(tf.numpy_function(lambda one: one, [text], tf.string), [None])

    return {"out": tf.while_loop(lambda i, text: i < 2, step, [0, given])[1]}


def lengths(given):
    return tf.strings.length(given)


FAULTS = {
    "py_function": (
        lambda given: {"out": tf.py_function(lambda one: one, [given], tf.string, name="culprit")},
        r"culprit/?\w*: the op EagerPyFunc calls Python, which the server does not have\. Write it in graph ops\.",
    ),
    "numpy_function": (
        lambda given: {"out": tf.numpy_function(lambda one: one, [given], tf.string, name="culprit")},
        r"culprit\w*: the op PyFunc calls Python, which the server does not have\. Write it in graph ops\.",
    ),
    "in a loop": (
        in_a_loop,
        r"while_body_\d+: the op PyFunc calls Python, which the server does not have\. Write it in graph ops\.",
    ),
    "jit_compile": (
        lambda given: {"out": fast(lengths(given))},
        r"__inference_fast_\d+: it is compiled by XLA, which is turned off on the server\. Remove jit_compile\.",
    ),
    "XLA op": (
        lambda given: {"out": tf.raw_ops.XlaConcatND(inputs=[lengths(given)] * 2, num_concats=[2], name="culprit")},
        r"culprit: the op XlaConcatND needs XLA, which is turned off on the server\. Export under the TensorFlow backend\.",
    ),
    "ragged": (
        lambda given: {"words": tf.strings.split(given)},
        r"the output 'words' is a RaggedTensor; a signature can return only dense tensors\.",
    ),
    "sparse": (
        lambda given: {"words": tf.strings.split(given).to_sparse()},
        r"the output 'words' is a SparseTensor; a signature can return only dense tensors\.",
    ),
    "scalar": (
        lambda given: {"count": tf.size(given)},
        r"the output 'count' is a scalar; the first axis of every output must be the batch\.",
    ),
    "batch-free": (
        lambda given: {"labels": tf.constant(["a", "b"])},
        r"the output 'labels' always has 2 rows; the first axis of every output must be the batch\.",
    ),
}
for dtype in ("float16", "bfloat16", "uint16", "complex64"):
    FAULTS[dtype] = (
        lambda given, dtype=dtype: {"out": tf.cast(lengths(given), dtype)},
        rf"the output 'out' is {dtype}, which the server cannot write as JSON\.",
    )


@pytest.mark.parametrize(("function", "fault"), FAULTS.values(), ids=FAULTS)
def test_what_a_server_cannot_run_or_say_is_named(tmp_path, function, fault):
    with pytest.raises(ExportError) as raised:
        write(tmp_path, Stand(function))
    head = "the signature 'say' cannot be served by a stock TF Serving.\n  "
    assert re.fullmatch(re.escape(head) + fault, str(raised.value)), str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_wrong_with_a_signature_is_said_at_once():
    served = Stand(lambda given: {"count": tf.size(given), "half": tf.cast(lengths(given), tf.float16), "no_faults": given})
    with pytest.raises(ExportError) as raised:
        audit(served)
    assert str(raised.value).count("\n") == 2


def test_an_output_whose_rows_are_others_than_the_batch_is_named(tmp_path):
    with pytest.raises(ExportError) as raised:
        write(tmp_path, Stand(lambda given: {"words": tf.strings.split(given).flat_values}), ["a b", "c d"])
    assert str(raised.value) == (
        "the output 'words' of the signature 'say' has 2 rows for a batch of 1; "
        "the first axis of every output must be the batch."
    )


def test_bytes_that_are_no_text_need_a_name_that_says_so(tmp_path, asked):
    def drawn(name):
        return Stand(lambda given: {name: tf.strings.join([b"\x89PNG", given])})

    with pytest.raises(ExportError) as raised:
        write(tmp_path, drawn("picture"))
    assert str(raised.value) == (
        "the output 'picture' of the signature 'say' holds bytes that are not UTF-8 text, which the server's JSON garbles. "
        "Name it 'picture_bytes'."
    )
    write(tmp_path, drawn("picture_bytes"))


# TF Text, which every stock server links


def folded() -> Stand:
    text = pytest.importorskip("tensorflow_text")

    def split(given):
        words = text.WhitespaceTokenizer().tokenize(text.case_fold_utf8(given))
        return {"words": words.to_tensor(shape=[None, 2]), "count": words.row_lengths()}

    return Stand(split)


def test_every_op_of_tf_text_is_known():
    pytest.importorskip("tensorflow_text")
    from tensorflow.python.framework import op_def_registry

    from mmzoo.serving.audit import _text_ops

    assert {"RegexSplitWithOffsets", "FastWordpieceTokenizeWithOffsets", "SentencepieceOp", "CaseFoldUTF8"} <= _text_ops()
    assert op_def_registry.get("TFText>WhitespaceTokenizeWithOffsetsV2") is not None
    assert "TFText_WhitespaceTokenizeWithOffsetsV2" in _text_ops()


def test_an_op_of_neither_is_named(monkeypatch):
    served = folded()
    monkeypatch.setattr("mmzoo.serving.audit._text_ops", frozenset)
    with pytest.raises(ExportError) as raised:
        audit(served)
    assert str(raised.value) == (
        "the signature 'say' cannot be served by a stock TF Serving.\n"
        "  CaseFoldUTF8/CaseFoldUTF8: the op CaseFoldUTF8 is neither TensorFlow's nor TF Text's, "
        "so the server does not have it.\n"
        "  WhitespaceTokenize/TFText>WhitespaceTokenizeWithOffsetsV2: the op TFText>WhitespaceTokenizeWithOffsetsV2 "
        "is neither TensorFlow's nor TF Text's, so the server does not have it."
    )


@pytest.fixture(scope="module")
def folded_export(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("folded"), folded(), ("Groß Haus", "a"))


def test_a_tokenizer_of_tf_text_is_served(folded_export):
    found = tf.saved_model.load(folded_export).signatures["say"](given=tf.constant(["STRASSE 5", "x"]))
    assert found["words"].numpy().tolist() == [[b"strasse", b"5"], [b"x", b""]]
    assert found["count"].numpy().tolist() == [2, 1]


# The loader of TF Serving: TensorFlow's C++ library, without its Python

BY_LIBRARY = r"""
import ctypes as c, json, sys
from base64 import b64decode, b64encode

request = json.load(sys.stdin)
tf = c.CDLL(request["library"])
for name in ("NewStatus", "NewGraph", "NewSessionOptions", "LoadLibrary", "LoadSessionFromSavedModel", "GraphOperationByName",
             "NewTensor", "TensorData", "Message", "StringGetDataPointer"):
    getattr(tf, "TF_" + name).restype = c.c_void_p
for name in ("StringGetSize", "Dim"):
    getattr(tf, "TF_" + name).restype = c.c_int64
tf.TF_Message.restype = c.c_char_p
p = c.c_void_p
STRING = 24  # bytes of a TF_TString
NUMBERS = {1: c.c_float, 3: c.c_int32, 9: c.c_int64, 10: c.c_bool}
KEEP = c.CFUNCTYPE(None, c.c_void_p, c.c_size_t, c.c_void_p)(lambda data, size, _: None)

class Output(c.Structure):
    _fields_ = [("operation", c.c_void_p), ("index", c.c_int)]

status = p(tf.TF_NewStatus())

def check():
    if tf.TF_GetCode(status):
        raise RuntimeError(tf.TF_Message(status).decode())

def place(graph, tensor):
    name, _, index = tensor.partition(":")
    return Output(tf.TF_GraphOperationByName(graph, name.encode()), int(index))

def strings(values):
    data = c.create_string_buffer(STRING * len(values))
    for row, value in enumerate(values):
        one = p(c.addressof(data) + STRING * row)
        tf.TF_StringInit(one)
        tf.TF_StringCopy(one, value, c.c_size_t(len(value)))
    dims = (c.c_int64 * 1)(len(values))
    return data, p(tf.TF_NewTensor(7, dims, 1, data, c.c_size_t(len(data.raw)), KEEP, None))

def plain(tensor):
    dims = [tf.TF_Dim(tensor, axis) for axis in range(tf.TF_NumDims(tensor))]
    count, data, kind = 1, tf.TF_TensorData(tensor), tf.TF_TensorType(tensor)
    for dim in dims:
        count *= dim
    if kind != 7:
        return {"shape": dims, "values": list((NUMBERS[kind] * count).from_address(data))}
    rows = [p(data + STRING * row) for row in range(count)]
    texts = [c.string_at(tf.TF_StringGetDataPointer(row), tf.TF_StringGetSize(row)) for row in rows]
    return {"shape": dims, "b64": [b64encode(text).decode() for text in texts]}

def ask(model):
    graph, tags = p(tf.TF_NewGraph()), (c.c_char_p * 1)(b"serve")
    session = p(tf.TF_LoadSessionFromSavedModel(
        p(tf.TF_NewSessionOptions()), None, model["folder"].encode(), tags, 1, graph, None, status))
    check()
    data, fed = strings([b64decode(value) for value in model["given"]])
    fetch = [place(graph, tensor) for tensor in model["outputs"].values()]
    results = (p * len(fetch))()
    tf.TF_SessionRun(session, None, (Output * 1)(place(graph, model["input"])), (p * 1)(fed), 1,
                     (Output * len(fetch))(*fetch), results, len(fetch), None, 0, None, status)
    check()
    return {name: plain(p(result)) for name, result in zip(model["outputs"], results)}

answers = {"toy": ask(request["toy"])}
if "text" in request:
    try:
        ask(request["text"])
    except RuntimeError as error:
        answers["refused"] = str(error)
    for library in request["libraries"]:
        tf.TF_LoadLibrary(library.encode(), status)
        check()
    answers["text"] = ask(request["text"])
assert "tensorflow" not in sys.modules
print(json.dumps(answers))
"""


def model_request(folder: Path, given: list[bytes]) -> dict[str, Any]:
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signature = model.meta_graphs[0].signature_def["serving_default"]
    ((_, only),) = signature.inputs.items()
    outputs = {name: info.name for name, info in signature.outputs.items()}
    return {"folder": str(folder), "given": [b64encode(one).decode() for one in given], "input": only.name, "outputs": outputs}


def test_the_library_of_a_server_answers_as_the_task(served_toy, exported, folded_export):
    spec = importlib.util.find_spec("tensorflow")
    library = Path(spec.submodule_search_locations[0]) / "libtensorflow_cc.so.2"
    if not library.exists():
        pytest.skip("this TensorFlow comes without its C++ library")
    raw = next(iter(served_toy.data.raw_batches("test", 1)))["图片"]
    request = {"library": str(library), "libraries": text_libraries()}
    request["toy"] = model_request(exported.folder, [*raw.numpy(), b"no picture"])
    request["text"] = model_request(folded_export, ["Groß".encode(), b"B c"])
    done = subprocess.run(
        [sys.executable, "-P", "-c", BY_LIBRARY], input=json.dumps(request), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    for name, value in served_toy.served.functions["answer"](tf.concat([raw, ["no picture"]], 0)).items():
        assert_close(as_array(answers["toy"][name]), value.numpy())
    assert answers["refused"].startswith("Op type not registered")
    assert as_array(answers["text"]["words"]).tolist() == [[b"gross", b""], [b"b", b"c"]]
    assert as_array(answers["text"]["count"]).tolist() == [1, 2]


def as_array(answer: dict[str, Any]) -> np.ndarray:
    values = answer["values"] if "values" in answer else [b64decode(one) for one in answer["b64"]]
    return np.array(values, None if "values" in answer else object).reshape(answer["shape"])
