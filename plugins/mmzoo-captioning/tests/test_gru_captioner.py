"""The GRU captioner: what it learns from, what it looks at, and what its search finds."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from mmzoo_captioning.gru_captioner import GRUCaptioner
from mmzoo_captioning.losses import doubly_stochastic, token_cross_entropy

from mmzoo import END, PAD, START, UNKNOWN, StreamError

pytestmark = pytest.mark.slow

TOKENS, DIM, VOCABULARY, LENGTH = 5, 3, 7, 4
SAYABLE = [END, 4, 5, 6]


def make_head(length=LENGTH, seed=None, vocabulary=VOCABULARY, **options):
    """Makes a head; a seed gives it large random weights, so that its captions vary in words and length."""
    keras.utils.set_random_seed(0)
    inputs = {"caption": {"shape": [length], "dtype": "int32", "vocabulary": vocabulary}}
    head = GRUCaptioner(inputs=inputs, target="caption", **{"units": 8, "dropout": 0.0} | options)
    head(make_streams(1), targets={"caption": np.zeros((1, length), "int32")})
    if seed is not None:
        rng = np.random.default_rng(seed)
        head.set_weights([weight + rng.normal(0, 1 if weight.ndim > 1 else 0.1, weight.shape) for weight in head.get_weights()])
    return head


def make_streams(batch, tokens=TOKENS, seed=1):
    rng = np.random.default_rng(seed)
    mask = np.arange(tokens) < rng.integers(2, tokens + 1, (batch, 1))
    return {"image": {"tokens": tf.constant(rng.normal(size=(batch, tokens, DIM)), "float32"), "mask": tf.constant(mask)}}


def one_row(streams, row):
    return {name: {part: value[row : row + 1] for part, value in stream.items()} for name, stream in streams.items()}


def answer(head, streams, signature="caption"):
    return {name: np.array(value) for name, value in head.signatures()[signature].answer(streams).items()}


def teach(head, streams, captions):
    """Gives the outputs of the teacher-forced unroll for captions of one picture (or of a picture each), PAD filled up."""
    ids = np.zeros((len(captions), head.length), "int32")
    for row, caption in zip(ids, captions, strict=True):
        row[: len(caption)] = caption
    stream = streams["image"]
    if len(stream["mask"]) == 1:
        stream = {part: tf.repeat(value, len(captions), axis=0) for part, value in stream.items()}
    return {name: np.array(value) for name, value in head({"image": stream}, targets={"caption": ids}).items()}


def log_softmax(logits):
    logits = logits.astype("float64") - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def log_probability(head, streams, captions):
    """The logarithms of the probabilities of captions, by the chain rule over the teacher-forced unroll."""
    logs = log_softmax(teach(head, streams, captions)["logits"])
    return np.array(
        [sum(row[step, word] for step, word in enumerate(words)) for row, words in zip(logs, captions, strict=True)]
    )


def said(ids):
    return [int(word) for word in ids if word != PAD]


def penalised(score, words, penalty):
    return score / ((5 + words) / 6) ** penalty


def search(head, streams, beam, penalty=0.0):
    """Beam search over one picture, written anew: hypotheses are lists, probabilities come from the teacher-forced unroll."""
    beams = [([], 0.0)]
    for step in range(head.length):
        finished = [one for one in beams if one[0][-1:] == [END]]
        growing = [one for one in beams if one[0][-1:] != [END]]
        if not growing:
            break
        logs = log_softmax(teach(head, streams, [words for words, _ in growing])["logits"][:, step])
        grown = [([*words, w], score + row[w]) for (words, score), row in zip(growing, logs, strict=True) for w in SAYABLE]
        beams = sorted(finished + grown, key=lambda one: -one[1])[:beam]
    return max(beams, key=lambda one: penalised(one[1], len(one[0]), penalty))


def loss_and_gradients(head, streams, captions):
    ids = tf.constant(captions, "int32")
    with tf.GradientTape() as tape:
        outputs = head(streams, targets={"caption": ids}, training=True)
        losses = token_cross_entropy(outputs["logits"], ids, label_smoothing=0.1) + doubly_stochastic(outputs["attention"], ids)
        loss = tf.reduce_mean(losses)
    return loss.numpy(), [tf.convert_to_tensor(one).numpy() for one in tape.gradient(loss, head.trainable_variables)]


# What it learns from


def test_padding_changes_neither_loss_nor_gradients():
    captions = np.array([[4, 5, END, PAD], [6, 6, 4, END], [END, PAD, PAD, PAD]])
    streams = make_streams(3)
    short, long = make_head(4, seed=3), make_head(7, seed=3)
    loss, gradients = loss_and_gradients(short, streams, captions)
    longer_loss, longer = loss_and_gradients(long, streams, np.pad(captions, [(0, 0), (0, 3)]))
    np.testing.assert_allclose(loss, longer_loss, rtol=1e-6)
    for weight, one, other in zip(short.trainable_variables, gradients, longer, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=weight.path)


def test_masked_tokens_change_nothing():
    head, streams = make_head(seed=3), make_streams(3)
    extra = {
        "tokens": np.pad(streams["image"]["tokens"], [(0, 0), (0, 2), (0, 0)], constant_values=np.nan),
        "mask": np.pad(streams["image"]["mask"], [(0, 0), (0, 2)]),
    }
    captions = [[4, END], [5, 6, END], [6, 4, 4, END]]
    before, after = teach(head, streams, captions), teach(head, {"image": extra}, captions)
    np.testing.assert_allclose(before["logits"], after["logits"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.pad(before["attention"], [(0, 0), (0, 0), (0, 2)]), after["attention"], atol=1e-6)


def test_the_target_holds_end_and_not_start():
    outputs = teach(make_head(), make_streams(2), [[4, 5, END], [END]])
    assert outputs["tokens"].tolist() == [[4, 5, END, PAD], [END, PAD, PAD, PAD]]
    assert outputs["logits"].shape == (2, LENGTH, VOCABULARY)


def test_each_step_sees_start_and_the_words_before_it():
    head, streams = make_head(seed=2), make_streams(1)
    logits = teach(head, streams, [[4, 5, 6, END], [4, 5, 5, END]])["logits"]
    np.testing.assert_allclose(logits[0, :3], logits[1, :3], atol=1e-4)
    assert np.abs(logits[0, 3] - logits[1, 3]).max() > 1e-3
    table = head.embedding.embeddings
    table.assign(np.where(np.arange(VOCABULARY)[:, None] == START, table + 1, table))
    assert np.abs(teach(head, streams, [[4, 5, 6, END]])["logits"][0, 0] - logits[0, 0]).max() > 1e-3


def test_learns_captions_and_says_them():
    head = make_head(5, vocabulary=9, units=24)
    streams = make_streams(4)
    captions = np.array([[4, 5, 6, END, PAD], [4, 5, 7, END, PAD], [8, END, PAD, PAD, PAD], [7, 7, 7, 7, END]], "int32")
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(head.trainable_variables)  # in the first step, TensorFlow would trace the step twice

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            logits = head(streams, targets={"caption": captions}, training=True)["logits"]
            loss = tf.reduce_mean(token_cross_entropy(logits, captions))
        optimizer.apply_gradients(zip(tape.gradient(loss, head.trainable_variables), head.trainable_variables, strict=True))
        return loss

    losses = [float(step()) for _ in range(120)]
    assert losses[-1] < 0.02 < losses[0]
    assert answer(head, streams)["caption"].tolist() == captions.tolist()


# What it looks at


def test_attention_sums_to_one_over_the_real_tokens():
    streams = make_streams(6)
    attention = teach(make_head(seed=4), streams, [[4, 5, 6, END]] * 6)["attention"]
    assert attention.shape == (6, LENGTH, TOKENS)
    np.testing.assert_allclose(attention.sum(-1), 1, rtol=1e-5)
    assert (attention[~np.repeat(np.array(streams["image"]["mask"])[:, None], LENGTH, 1)] == 0).all()


def test_absent_stream_is_survived():
    streams = make_streams(2)
    streams["image"]["mask"] = tf.constant([[False] * TOKENS, [True] * TOKENS])
    head = make_head(seed=4)
    outputs = teach(head, streams, [[4, END], [4, END]])
    assert (outputs["attention"][0] == 0).all()
    assert np.isfinite(outputs["logits"]).all()
    assert np.isfinite(answer(head, streams)["score"]).all()


@pytest.mark.parametrize("beam", [1, 4])
def test_explain_agrees_with_caption_and_with_the_unroll(beam):
    head, streams = make_head(6, seed=6, beam=beam), make_streams(24)
    plain, explained = answer(head, streams), answer(head, streams, "explain")
    assert explained["caption"].tolist() == explained["words"].tolist() == plain["caption"].tolist()
    np.testing.assert_allclose(explained["score"], plain["score"], rtol=1e-6)
    real = explained["words"] != PAD
    assert 0 < real.sum() < real.size
    np.testing.assert_allclose(explained["attention"].sum(-1), real, atol=1e-5)
    taught = teach(head, streams, [said(ids) for ids in plain["caption"]])["attention"]
    np.testing.assert_allclose(explained["attention"], taught * real[..., None], rtol=1e-4, atol=1e-5)


# What its search finds


@pytest.mark.parametrize("beam", [1, 3])
def test_score_is_the_log_probability_of_the_unroll(beam):
    # So the state that is carried from step to step is that of the teacher-forced unroll.
    head, streams = make_head(6, seed=7, beam=beam), make_streams(8)
    found = answer(head, streams)
    expected = log_probability(head, streams, [said(ids) for ids in found["caption"]])
    np.testing.assert_allclose(found["score"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_beam_of_one_is_greedy(seed):
    head, streams = make_head(seed=seed, beam=1), make_streams(3)
    for row, found in enumerate(answer(head, streams)["caption"]):
        words = []
        while words[-1:] != [END] and len(words) < head.length:
            logits = teach(head, one_row(streams, row), [words])["logits"][0, len(words)]
            words.append(max(SAYABLE, key=lambda word, logits=logits: logits[word]))
        assert said(found) == words


@pytest.mark.parametrize(("beam", "penalty"), [(2, 0.0), (3, 2.0), (4, 1.0)])
def test_search_is_that_of_a_search_written_anew(beam, penalty):
    # Which keeps finished hypotheses as they are, in the beam and in the race.
    lengths = set()
    for seed in range(2):
        head, streams = make_head(seed=seed, beam=beam, length_penalty=penalty), make_streams(2, seed=seed)
        found = answer(head, streams)
        for row in range(2):
            words, score = search(head, one_row(streams, row), beam, penalty)
            assert said(found["caption"][row]) == words
            assert found["score"][row] == pytest.approx(score, rel=1e-4, abs=1e-4)
            lengths.add(len(words))
    assert len(lengths) > 1


@pytest.mark.parametrize("penalty", [0.0, 0.7, 2.0])
def test_wide_beam_finds_the_best_of_all_captions(penalty):
    ended = [[*words, END] for n in range(LENGTH) for words in itertools.product(SAYABLE[1:], repeat=n)]
    captions = ended + [list(words) for words in itertools.product(SAYABLE[1:], repeat=LENGTH)]
    assert len(captions) == 121
    for seed in range(2):
        head, streams = make_head(seed=seed, beam=121, length_penalty=penalty), make_streams(1, seed=seed)
        scores = log_probability(head, streams, captions)
        best = max(range(121), key=lambda one: penalised(scores[one], len(captions[one]), penalty))
        found = answer(head, streams)
        assert said(found["caption"][0]) == captions[best]
        assert found["score"][0] == pytest.approx(scores[best], rel=1e-4, abs=1e-4)


def test_length_penalty_makes_up_for_long_captions():
    words = {}
    for penalty in (0.0, 3.0):
        head = make_head(6, seed=1, beam=5, length_penalty=penalty)
        words[penalty] = (answer(head, make_streams(12))["caption"] != PAD).sum()
    assert words[3.0] > words[0.0]


def test_nothing_follows_the_end():
    found = answer(make_head(6, seed=7), make_streams(12))["caption"]
    ends = (found == END).cumsum(axis=1) > 0
    assert ends[:, -1].any()
    assert ((found == PAD) == (ends & (found != END))).all()


def test_never_says_pad_unknown_or_start():
    head = make_head(seed=3, beam=2)
    bias = np.zeros(VOCABULARY)
    bias[[PAD, UNKNOWN, START]] = 100
    head.words.bias.assign(bias)
    found = answer(head, make_streams(8))["caption"]
    assert set(found.ravel()) <= {PAD, *SAYABLE}
    assert (found[:, 0] != PAD).all()


@pytest.mark.parametrize("beam", [1, 3])
def test_answer_does_not_depend_on_the_rest_of_the_batch(beam):
    head, streams = make_head(6, seed=6, beam=beam), make_streams(12)
    together = answer(head, streams, "explain")
    assert len({len(said(ids)) for ids in together["caption"]}) > 1  # some rows end before others
    for row in (0, 5, 11):
        alone = answer(head, one_row(streams, row), "explain")
        assert alone["caption"][0].tolist() == together["caption"][row].tolist()
        for name in together:
            np.testing.assert_allclose(alone[name][0], together[name][row], rtol=1e-4, atol=1e-5)


def test_graph_of_any_batch_size_answers_alike():
    head, streams = make_head(seed=6), make_streams(5)
    parts = {"tokens": tf.TensorSpec((None, TOKENS, DIM)), "mask": tf.TensorSpec((None, TOKENS), "bool")}
    graph = tf.function(head.signatures()["explain"].answer, input_signature=[{"image": parts}], autograph=False)
    found = graph(streams)
    for name, value in answer(head, streams, "explain").items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)


# What it refuses


def test_target_without_ids():
    with pytest.raises(StreamError) as caught:
        GRUCaptioner(inputs={"photo": {"shape": [8, 8, 3], "dtype": "uint8", "vocabulary": None}}, target="photo")
    assert str(caught.value) == "the target 'photo' must be token ids; give it a text processor such as 'words'."


def test_captions_that_are_too_long_for_a_graph():
    with pytest.raises(StreamError) as caught:
        GRUCaptioner(inputs={"text": {"shape": [513], "dtype": "int32", "vocabulary": 9}}, target="text")
    assert str(caught.value) == (
        "the head 'gru_captioner' has a step in its graph for each of at most 512 words, received 513 of 'text'. "
        "Set a shorter sequence_length."
    )


# Several streams


def several(batch, absent=(), seed=4):
    """Makes streams of several dims; those of `absent` are masked as a whole."""
    rng = np.random.default_rng(seed)
    streams = {}
    for name, tokens, dim in [("video", 3, 4), ("text", 2, 6)]:
        mask = (np.arange(tokens) < rng.integers(1, tokens + 1, (batch, 1))) & (name not in absent)
        streams[name] = {"tokens": tf.constant(rng.normal(size=(batch, tokens, dim)), "float32"), "mask": tf.constant(mask)}
    return streams


def make_joining(seed=3):
    keras.utils.set_random_seed(0)
    inputs = {"caption": {"shape": [LENGTH], "dtype": "int32", "vocabulary": VOCABULARY}}
    head = GRUCaptioner(inputs=inputs, target="caption", units=8, dropout=0.0, beam=2)
    head(several(1), targets={"caption": np.zeros((1, LENGTH), "int32")})
    rng = np.random.default_rng(seed)
    head.set_weights([weight + rng.normal(0, 1 if weight.ndim > 1 else 0.1, weight.shape) for weight in head.get_weights()])
    return head


def test_several_streams_are_one_whose_tokens_are_each_projected_by_their_own_weights():
    head, streams = make_joining(), several(3)
    tokens = [np.array(head.projections[name](streams[name]["tokens"])) for name in head.projections]
    masks = [streams[name]["mask"] for name in head.projections]
    joined = {"tokens": tf.constant(np.concatenate(tokens, axis=1)), "mask": tf.concat(masks, axis=1)}
    alike = GRUCaptioner(
        inputs={"caption": {"shape": [LENGTH], "dtype": "int32", "vocabulary": VOCABULARY}},
        target="caption",
        units=8,
        dropout=0.0,
        beam=2,
    )
    alike({"image": joined}, targets={"caption": np.zeros((3, LENGTH), "int32")})
    for layer in (
        "norm",
        "first",
        "key",
        "query",
        "energy",
        "gate",
        "cell",
        "embedding",
        "from_state",
        "from_context",
        "words",
    ):
        getattr(alike, layer).set_weights(getattr(head, layer).get_weights())
    alike.project.set_weights([np.eye(8), np.zeros(8)])
    captions = np.array([[4, 5, END, PAD], [6, 6, 4, END], [END, PAD, PAD, PAD]])
    found, wanted = (head(streams, targets={"caption": captions}), alike({"image": joined}, targets={"caption": captions}))
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)
    assert found["attention"].shape == (3, LENGTH, 5)


def test_a_stream_that_is_absent_or_not_given_changes_nothing():
    head = make_joining()
    streams = several(3, absent=["video"])
    other = streams | {"video": streams["video"] | {"tokens": streams["video"]["tokens"] + 50}}
    answers = [answer(head, given) for given in (streams, other, {"text": streams["text"]})]
    for found in answers[1:]:
        np.testing.assert_array_equal(found["caption"], answers[0]["caption"])
        np.testing.assert_allclose(found["score"], answers[0]["score"], rtol=1e-4)


def test_all_streams_absent():
    found = answer(make_joining(), several(2, absent=["video", "text"]), "explain")
    assert np.isfinite(found["score"]).all()
    assert not found["attention"].any()


def test_attention_over_several_streams_is_not_for_drawing():
    assert make_joining().signatures()["explain"].attention == ""
    assert make_head().signatures()["explain"].attention == "attention"


@pytest.mark.parametrize("names", [[], ["text", "audio"]])
def test_streams_that_it_was_not_made_with(names):
    head, streams = make_joining(), several(1)
    streams["audio"] = streams["text"]
    with pytest.raises(StreamError) as caught:
        answer(head, {name: streams[name] for name in names})
    made, given = ", ".join(head.projections), ", ".join(names) or "none"
    text = f"the head 'gru_captioner' takes the streams that it was built with, {made}; received {given}."
    assert str(caught.value) == text
