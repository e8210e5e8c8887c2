"""fuse_video on real files: every frame once, colours, no seams, constant memory, clean ends on any error."""

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
import torch
from _media import ramp, write_images, write_video
from torch import nn

from vfuse import load_model, pipeline
from vfuse.clip import FramePair
from vfuse.errors import OutputError, UsageError
from vfuse.io import _videofile
from vfuse.io.pairs import read_pairs
from vfuse.io.probe import probe
from vfuse.io.writer import WriteOptions
from vfuse.models._registry import MODELS, ModelEntry, Output
from vfuse.models._run import LoadedModel, run
from vfuse.pipeline import FuseOptions, fuse_video, stretch
from vfuse.windows import FusedFrame, cut, join

CPU = torch.device("cpu")
LOSSLESS = WriteOptions(codec="ffv1")


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def baseline(name):
    return LoadedModel(MODELS[name], MODELS[name].build(), CPU)


def custom(network, *, window=3, overlap=1):
    entry = ModelEntry(
        name="custom", build=nn.Identity, params=1, window=window, overlap=overlap, restores=True
    )
    return LoadedModel(entry, network, CPU)


def make_pair(folder, count, *, audio=0.0, width=64, height=48):
    ir = write_video(folder / "ir.mkv", ramp(count, width, height))
    vis = write_video(
        folder / "vis.mkv", ramp(count, width, height, grey=False), pix_fmt="bgr0", audio_seconds=audio
    )
    return ir, vis


def decode(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 23])
@pytest.mark.parametrize(("window", "overlap"), [(None, None), (5, 2), (5, 4), (1, 0)])
def test_every_frame_arrives_once_and_in_order(tmp_path, count, window, overlap):
    ir, vis = make_pair(tmp_path, count)
    options = FuseOptions(window=window, overlap=overlap, write=LOSSLESS)
    report = fuse_video(ir, vis, tmp_path / "out.mkv", model=baseline("visible"), options=options)
    assert np.array_equal(decode(tmp_path / "out.mkv"), decode(vis))
    assert report.frames == {"read": count, "fused": count, "written": count}
    assert leftovers(tmp_path) == ["ir.mkv", "out.mkv", "vis.mkv"]


def test_a_part_of_the_videos(tmp_path):
    ir, vis = make_pair(tmp_path, 30)
    options = FuseOptions(start=0.2, end=0.8, frames=10, write=LOSSLESS)
    fuse_video(ir, vis, tmp_path / "out.mkv", model=baseline("visible"), options=options)
    assert np.array_equal(decode(tmp_path / "out.mkv"), decode(vis)[5:15])


def test_images_in_and_out(tmp_path):
    frames = ramp(6, grey=False)
    write_images(tmp_path / "ir", ramp(6))
    write_images(tmp_path / "vis", frames)
    options = FuseOptions(fps=Fraction(10))
    fuse_video(
        tmp_path / "ir", tmp_path / "vis", tmp_path / "out", model=baseline("visible"), options=options
    )
    again = fuse_video(tmp_path / "ir", tmp_path / "out", tmp_path / "out.mkv", model=baseline("visible"))
    assert again.frames["written"] == 6
    assert len(leftovers(tmp_path / "out")) == 6
    assert leftovers(tmp_path) == ["ir", "out", "out.mkv", "vis"]


def test_constant_colours_survive_the_average_within_two_levels(tmp_path):
    colours = [(200, 60, 40), (30, 180, 90), (20, 40, 200), (128, 128, 128)]
    for k, colour in enumerate(colours):
        luma = round(float(np.dot(colour, (0.2126, 0.7152, 0.0722))))
        vis = write_video(
            tmp_path / f"vis{k}.mkv", [np.full((48, 64, 3), colour, np.uint8)] * 5, pix_fmt="bgr0"
        )
        ir = write_video(tmp_path / f"ir{k}.mkv", [np.full((48, 64), luma, np.uint8)] * 5)
        out = tmp_path / f"out{k}.mp4"
        fuse_video(ir, vis, out, model=baseline("average"))
        info = probe(out)
        assert (info.colour_matrix, info.colour_range) == ("bt709", "tv")
        again = tmp_path / f"again{k}.mkv"  # read back by our own reader, which honours the tags
        fuse_video(ir, out, again, model=baseline("visible"), options=FuseOptions(write=LOSSLESS))
        assert np.abs(decode(again).astype(int) - np.array(colour)).max() <= 2


def test_sound_of_the_visible_is_copied_unless_refused(tmp_path):
    ir, vis = make_pair(tmp_path, 10, audio=0.4)
    fuse_video(ir, vis, tmp_path / "with.mp4", model=baseline("average"))
    quiet = FuseOptions(write=WriteOptions(keep_audio=False))
    fuse_video(ir, vis, tmp_path / "without.mp4", model=baseline("average"), options=quiet)
    assert probe(tmp_path / "with.mp4").has_audio
    assert not probe(tmp_path / "without.mp4").has_audio


class Restorer(nn.Module):
    """Fuses to the visible and "restores" by inverting, so that no stream can be mistaken for another."""

    def forward(self, ir, vis):
        return Output(vis, 1 - ir, 1 - vis)


def test_restored_sources_go_where_they_were_asked_to(tmp_path):
    ir, vis = make_pair(tmp_path, 7)
    options = FuseOptions(
        restored_ir=tmp_path / "clean_ir.mkv", restored_vis=tmp_path / "clean_vis.mkv", write=LOSSLESS
    )
    report = fuse_video(ir, vis, tmp_path / "out.mkv", model=custom(Restorer()), options=options)
    assert np.array_equal(decode(tmp_path / "out.mkv"), decode(vis))
    assert np.array_equal(decode(tmp_path / "clean_vis.mkv"), 255 - decode(vis))
    assert np.array_equal(decode(tmp_path / "clean_ir.mkv"), 255 - decode(ir))
    assert sorted(report.outputs) == ["fused", "ir", "vis"]


def still_pairs(count, *, noise):
    generator = torch.Generator().manual_seed(1)
    ir, vis = torch.rand(1, 48, 64, generator=generator), torch.rand(3, 48, 64, generator=generator)
    for k in range(count):
        grain = [noise * torch.randn(x.shape, generator=generator) for x in (ir, vis)]
        yield FramePair((ir + grain[0]).clamp(0, 1), (vis + grain[1]).clamp(0, 1), k, k / 25)


def changes(frames):
    """Mean absolute change from each frame to the next."""
    images = [frame.streams["fused"] for frame in frames]
    return torch.stack([(b - a).abs().mean() for a, b in pairwise(images)])


def test_a_network_that_disagrees_between_windows_leaves_no_seam():
    class Moody(nn.Module):
        """Every second window is brighter by 0.3: the worst seam a network could make."""

        calls = 0

        def forward(self, ir, vis):
            self.calls += 1
            return Output(vis * 0.5 + 0.3 * (self.calls % 2))

    clips = cut(still_pairs(31, noise=0), 7, 2)
    steps = changes(join(run(custom(Moody()), clips)))
    assert float(steps.max()) == pytest.approx(
        0.1, abs=1e-5
    )  # 0.3 spread over overlap + 1 steps, not at once


def test_a_still_scene_changes_no_more_at_window_joints_than_elsewhere():
    """With the shipped weights and their own windows; noise as still video has it, and none at all."""
    model = load_model("videofusion-s", device="cpu", precision="float32")
    window, overlap = FuseOptions().window_for(model.entry)
    frames = 2 * (window - overlap) + window
    noisy, still = (
        changes(join(run(model, cut(still_pairs(frames, noise=noise), window, overlap))))
        for noise in (0.02, 0.0)
    )
    starts = (window - overlap, 2 * (window - overlap))
    joints = torch.tensor([any(s - 1 <= k <= s + overlap for s in starts) for k in range(frames - 1)])
    assert float(noisy[joints].max()) <= 1.05 * float(noisy[~joints].max())
    assert float(still[joints].max()) < 0.5 * float(still[~joints].max())  # the ends of the clip


def test_the_published_behaviour_exists_only_on_request(tmp_path):
    official = FuseOptions(compat="official")
    assert official.window_for(MODELS["videofusion"]) == (7, 0)
    assert official.blend == "last"
    ir, vis = make_pair(tmp_path, 9)
    fuse_video(
        ir, vis, tmp_path / "plain.mkv", model=baseline("average"), options=FuseOptions(write=LOSSLESS)
    )
    published = FuseOptions(compat="official", write=LOSSLESS)
    fuse_video(ir, vis, tmp_path / "official.mkv", model=baseline("average"), options=published)
    assert all((frame.min(), frame.max()) == (0, 255) for frame in decode(tmp_path / "official.mkv"))
    means = decode(tmp_path / "plain.mkv").mean((1, 2, 3))
    assert (np.diff(means) > 1).all()  # the ramp brightens: without a stretch it stays that way


def test_stretching_a_flat_frame_does_not_divide_by_zero():
    flat = FusedFrame({"fused": torch.full((3, 2, 2), 0.4)}, 0, 0.0)
    assert torch.equal(stretch(flat).streams["fused"], torch.zeros(3, 2, 2))


def test_the_report_tells_what_was_done(tmp_path):
    ir, vis = make_pair(tmp_path, 12)
    options = FuseOptions(window=5, overlap=2)
    report = fuse_video(ir, vis, tmp_path / "out.mp4", model=baseline("average"), options=options)
    told = json.loads(json.dumps(report.as_json()))
    assert told["schema_version"] == 1
    assert told["frames"] == {"read": 12, "fused": 12, "written": 12}
    assert told["windows"] == {"window": 5, "overlap": 2, "blend": "linear", "tile": None}
    assert told["inputs"]["vis"]["path"] == str(vis)
    assert told["inputs"]["fps"] == "25"
    assert told["model"]["name"] == "average"
    assert told["model"]["device"] == "cpu"
    assert set(told["seconds"]) == {"read", "fuse", "write", "total"}
    assert 0 < told["seconds"]["fuse"] < told["seconds"]["total"]
    assert told["versions"]["torch"] == torch.__version__


def test_progress_sees_every_frame_and_their_number(tmp_path):
    ir, vis = make_pair(tmp_path, 9)
    seen = []

    def track(items, total):
        for item in items:
            seen.append((item.index, total))
            yield item

    fuse_video(ir, vis, tmp_path / "out.mkv", model=baseline("average"), track=track)
    assert seen == [(k, 9) for k in range(9)]


@pytest.mark.parametrize("failure", [RuntimeError("broken"), KeyboardInterrupt(), MemoryError()])
def test_a_failure_in_the_middle_leaves_nothing_behind(tmp_path, failure):
    class Failing(nn.Module):
        calls = 0

        def forward(self, ir, vis):
            self.calls += 1
            if self.calls >= 4:
                raise failure
            return Output(vis)

    ir, vis = make_pair(tmp_path, 30)
    # a lack of memory is answered with smaller tiles until there are none
    with pytest.raises((type(failure), Exception)):
        fuse_video(ir, vis, tmp_path / "out.mp4", model=custom(Failing()))
    assert leftovers(tmp_path) == ["ir.mkv", "vis.mkv"]


def test_a_failing_disk_stops_the_network(tmp_path, monkeypatch):
    class Counting(nn.Module):
        calls = 0

        def forward(self, ir, vis):
            self.calls += 1
            return Output(vis)

    monkeypatch.setattr(_videofile.VideoSink, "write", _refuse)
    ir, vis = make_pair(tmp_path, 60)
    network = Counting()
    with pytest.raises(OutputError, match="no room"):
        fuse_video(ir, vis, tmp_path / "out.mkv", model=custom(network))
    assert network.calls < 15
    assert leftovers(tmp_path) == ["ir.mkv", "vis.mkv"]


def _refuse(*_, **__):
    raise OutputError("no room")


def test_outputs_that_would_destroy_something_are_refused_before_anything_is_read(tmp_path):
    ir, vis = make_pair(tmp_path, 3)
    before = vis.read_bytes()
    overwrite = WriteOptions(overwrite=True)
    for options, out in [
        (FuseOptions(write=overwrite), vis),
        (FuseOptions(restored_ir=ir, write=overwrite), tmp_path / "out.mkv"),
        (FuseOptions(restored_vis=tmp_path / "out.mkv"), tmp_path / "out.mkv"),
    ]:
        with pytest.raises(OutputError):
            fuse_video(ir, vis, out, model=custom(Restorer()), options=options)
    options = FuseOptions(restored_ir=tmp_path / "clean.mkv")
    with pytest.raises(UsageError, match="does not restore"):
        fuse_video(ir, vis, tmp_path / "out.mkv", model=baseline("average"), options=options)
    assert vis.read_bytes() == before
    assert leftovers(tmp_path) == ["ir.mkv", "vis.mkv"]


MEASURE = """
import resource, sys
from vfuse.models._load import load_model
from vfuse.pipeline import fuse_video
fuse_video(sys.argv[1], sys.argv[2], sys.argv[3], model=load_model("average", device="cpu"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_length(tmp_path):
    pytest.importorskip("resource")
    peaks = {}
    for count in (60, 590):  # 590 frames would be 180 MB at once, half as much again
        folder = tmp_path / str(count)
        folder.mkdir()
        frame = np.zeros((120, 160, 3), np.uint8)
        ir = write_video(folder / "ir.mkv", [frame[..., 0]] * count)
        vis = write_video(folder / "vis.mkv", [frame] * count, pix_fmt="bgr0")
        command = [sys.executable, "-c", MEASURE, str(ir), str(vis), str(folder / "out.mkv")]
        peaks[count] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert peaks[590] <= 1.1 * peaks[60]


def test_decoding_and_encoding_hide_behind_the_network(tmp_path, monkeypatch):
    class Slow(nn.Module):
        def forward(self, ir, vis):
            time.sleep(0.04 * vis.shape[1])
            return Output(vis)

    @contextmanager
    def slow_read(plan, *, counts):
        with read_pairs(plan, counts=counts) as pairs:
            yield (time.sleep(0.02) or pair for pair in pairs)

    def slow_write(self, frame, *, time):
        pause(0.02)
        write(self, frame, time=time)

    pause, write = time.sleep, _videofile.VideoSink.write
    monkeypatch.setattr(pipeline, "read_pairs", slow_read)
    monkeypatch.setattr(_videofile.VideoSink, "write", slow_write)
    ir, vis = make_pair(tmp_path, 60)
    report = fuse_video(ir, vis, tmp_path / "out.mp4", model=custom(Slow(), window=5, overlap=0))
    seconds = report.seconds
    assert seconds["read"] > 1.2
    assert seconds["write"] > 1.2
    opening = 0.8  # starting ffmpeg twice, the first window, counting the frames of the result
    assert seconds["total"] <= 1.05 * seconds["fuse"] + opening  # 2.4 s, one after the other it is 4.8 s
