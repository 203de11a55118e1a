"""Which frames of a clip are looked at, against its definition in words."""

import numpy as np
import pytest
import tensorflow as tf
from mmzoo_video.sampling import sample_frames


@pytest.mark.parametrize("frames", [1, 3, 8])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 8, 9, 16, 29, 1000])
def test_the_middle_frame_of_each_equal_segment_or_all_frames_of_a_short_clip(length, frames):
    if length > frames:
        middles = (np.arange(frames) + 0.5) * length / frames  # in the time of the clip, a frame lasting from k to k + 1
        expected = np.floor(middles).tolist()
    else:
        expected = [*range(length), *[-1] * (frames - length)]
    assert sample_frames(tf.constant([length]), frames).numpy().tolist() == [expected]


@pytest.mark.parametrize(
    ("length", "stride", "expected"),
    [
        (10, 1, [3, 4, 5, 6]),
        (11, 3, [0, 3, 6, 9]),
        (12, 3, [1, 4, 7, 10]),
        (9, 3, [1, 4, 7, -1]),
        (7, 3, [0, 3, 6, -1]),
        (3, 1, [0, 1, 2, -1]),
        (1, 5, [0, -1, -1, -1]),
        (0, 2, [-1, -1, -1, -1]),
    ],
)
def test_frames_so_far_from_each_other_in_the_middle_of_the_clip(length, stride, expected):
    assert sample_frames(tf.constant([length]), 4, stride).numpy().tolist() == [expected]


def test_clips_of_several_lengths_are_chosen_from_one_by_one():
    places = sample_frames(tf.constant([2, 40, 0]), 4)
    assert places.dtype == tf.int32
    assert places.numpy().tolist() == [[0, 1, -1, -1], [5, 15, 25, 35], [-1, -1, -1, -1]]
