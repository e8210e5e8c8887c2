"""cut and join: every frame once and in order, a linear cross-fade, bounded memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vfuse.clip import FramePair, FusedClip
from vfuse.errors import UsageError
from vfuse.windows import cut, join


def make_pairs(count, *, size=(2, 3)):
    """Pairs whose pixels hold their index (scaled into [0, 1]) so that a swap or a shift shows."""
    for k in range(count):
        value = (k + 1) / (count + 1)
        yield FramePair(torch.full((1, *size), value), torch.full((3, *size), value), index=k, time=k / 25)


def as_fused(clip, value=None):
    frames = clip.vis if value is None else torch.full_like(clip.vis, value)
    return FusedClip({"fused": frames, "ir": clip.ir}, clip.start, clip.times)


windows = st.integers(1, 12).flatmap(lambda window: st.tuples(st.just(window), st.integers(0, window - 1)))


@settings(max_examples=600, deadline=None)
@given(count=st.integers(0, 60), sizes=windows)
def test_join_after_cut_is_the_identity(count, sizes):
    window, overlap = sizes
    for blend in ("linear", "last"):
        clips = (as_fused(clip) for clip in cut(make_pairs(count), window, overlap))
        frames = list(join(clips, blend=blend))
        assert [frame.index for frame in frames] == list(range(count))
        for frame, pair in zip(frames, make_pairs(count), strict=True):
            assert torch.equal(frame.streams["fused"], pair.vis)
            assert torch.equal(frame.streams["ir"], pair.ir)
            assert frame.time == pair.time


@settings(max_examples=300, deadline=None)
@given(count=st.integers(1, 60), sizes=windows)
def test_clips_are_full_windows_side_by_side_up_to_the_last_frame(count, sizes):
    window, overlap = sizes
    clips = list(cut(make_pairs(count), window, overlap))
    assert all(len(clip) == min(window, count) for clip in clips)
    assert [clip.start for clip in clips[:-1]] == [k * (window - overlap) for k in range(len(clips) - 1)]
    assert clips[-1].start + len(clips[-1]) == count
    for clip in clips:  # pixels, not only numbers
        assert clip.vis[0, 0, 0, 0] == pytest.approx((clip.start + 1) / (count + 1))


def test_the_overlap_fades_linearly_from_the_earlier_window_to_the_later():
    clips = list(cut(make_pairs(8), 5, 2))  # 0-4 and 3-7
    levels = [0.0, 0.9]
    frames = list(join(as_fused(clip, level) for clip, level in zip(clips, levels, strict=True)))
    seen = [float(frame.streams["fused"].mean()) for frame in frames]
    assert seen == pytest.approx([0, 0, 0, 0.3, 0.6, 0.9, 0.9, 0.9])


def test_last_lets_the_later_window_overwrite():
    clips = list(cut(make_pairs(8), 5, 2))
    frames = list(join((as_fused(clip, k * 0.9) for k, clip in enumerate(clips)), blend="last"))
    seen = [float(frame.streams["fused"].mean()) for frame in frames]
    assert seen == pytest.approx([0, 0, 0, 0.9, 0.9, 0.9, 0.9, 0.9])


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 40), sizes=windows)
def test_a_fade_never_leaves_the_range_of_its_windows(count, sizes):
    clips = cut(make_pairs(count), *sizes)
    levels = (as_fused(clip, 0.2 if k % 2 else 0.8) for k, clip in enumerate(clips))
    values = torch.tensor([float(frame.streams["fused"].mean()) for frame in join(levels)])
    assert values.min() >= 0.2 - 1e-6
    assert values.max() <= 0.8 + 1e-6


def test_frames_come_out_while_later_ones_have_not_been_read():
    read = 0

    def counted():
        nonlocal read
        for pair in make_pairs(1000):
            read += 1
            yield pair

    for frame in join(as_fused(clip) for clip in cut(counted(), 7, 2)):
        assert read - frame.index <= 2 * 7


@pytest.mark.parametrize(("window", "overlap"), [(0, 0), (-1, 0), (5, 5), (5, 7), (5, -1)])
def test_windows_that_cannot_be_laid_side_by_side_are_refused(window, overlap):
    with pytest.raises(UsageError):
        list(cut(make_pairs(9), window, overlap))


def test_a_gap_or_a_step_back_between_clips_is_refused():
    clips = [as_fused(clip) for clip in cut(make_pairs(9), 3, 0)]
    with pytest.raises(ValueError, match="after frames"):
        list(join([clips[0], clips[2]]))
    with pytest.raises(ValueError, match="after frames"):
        list(join([clips[0], clips[1], clips[0]]))
