"""Raw values as plain Python values."""

import tensorflow as tf

from mmzoo.contracts.raw import plain_values


def test_unicode_forms_of_a_text_are_one_text_and_bytes_stay_bytes():
    assert plain_values(tf.constant(["\u00e9", "e\u0301", b"\xff\xd8e\xcc\x81"])) == ["\u00e9", "\u00e9", b"\xff\xd8e\xcc\x81"]
