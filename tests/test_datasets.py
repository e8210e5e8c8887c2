"""Every published layout lists the same clips; unequal pairs are refused; the cache decodes once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vfuse.errors import InputError, OutputError, PairError, UsageError
from vfuse.io import cache as cache_module
from vfuse.io.cache import cache_clips
from vfuse.io.datasets import list_clips, parse_data

STREAMS = ("infrared_Enhance", "visible_Enhance", "infrared_noise", "visible_Blur")


def frames(folder: Path, *, count: int = 3, level: int = 0, size: tuple[int, int] = (16, 24)) -> Path:
    folder.mkdir(parents=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i:04d}.png"), np.full((*size, 3), level + i, np.uint8))
    return folder


def test_four_trees_give_clean_and_degraded_streams(tmp_path: Path) -> None:
    for level, tree in enumerate(STREAMS):
        frames(tmp_path / tree / "0114_1551", level=40 * level)
    (clip,) = list_clips("m3svd", tmp_path, "train")
    assert (clip.name, clip.degraded_ir, clip.still) == (
        "0114_1551",
        tmp_path / STREAMS[2] / "0114_1551",
        False,
    )
    (cached,) = cache_clips([clip], tmp_path / "cache")
    means = {name: int(array[1].mean()) for name, array in cached.streams.items()}
    assert means == {"ir": 1, "vis": 41, "degraded_ir": 81, "degraded_vis": 121}
    assert cached.streams["ir"].shape == (3, 1, 16, 24)
    assert cached.streams["vis"].shape == (3, 3, 16, 24)


@pytest.mark.parametrize("names", [("ir", "vi"), ("ir", "vis"), ("infrared", "visible")])
def test_split_folders(tmp_path: Path, names: tuple[str, str]) -> None:
    for split in ("train", "test"):
        for name in names:
            frames(tmp_path / split / name / f"clip_{split}")
    for split in ("train", "test"):
        assert [clip.name for clip in list_clips("m3svd", tmp_path, split)] == [f"clip_{split}"]


def test_pairs_csv_wins_over_the_layout(tmp_path: Path) -> None:
    for name in ("ir", "vis", "clean_ir", "clean_vis"):
        frames(tmp_path / name / "a")
    header, row = "ir,vis,ir_gt,vis_gt,split", "ir/a,vis/a,clean_ir/a,clean_vis/a,train"
    (tmp_path / "pairs.csv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    (clip,) = list_clips("folder", tmp_path, "train")
    assert (clip.ir, clip.degraded_ir) == (tmp_path / "clean_ir/a", tmp_path / "ir/a")
    with pytest.raises(InputError, match="no test clips"):
        list_clips("folder", tmp_path, "test")


def test_pairs_csv_without_a_column_names_it(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("ir,visible\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="lacks the column vis"):
        list_clips("folder", tmp_path, "train")


def test_a_clip_without_partner_names_both_counts(tmp_path: Path) -> None:
    frames(tmp_path / "ir" / "a")
    frames(tmp_path / "ir" / "b")
    frames(tmp_path / "vis" / "a")
    with pytest.raises(PairError, match=r"2 infrared but 1 visible clips; 'b' has no partner"):
        list_clips("folder", tmp_path, "train")


def test_folders_of_different_length_name_both_counts(tmp_path: Path) -> None:
    frames(tmp_path / "ir" / "a", count=3)
    frames(tmp_path / "vis" / "a", count=5)
    with pytest.raises(PairError, match=r"3 frames.*5 frames"):
        list_clips("folder", tmp_path, "train")


def test_streams_of_different_size_are_refused_or_skipped(tmp_path: Path) -> None:
    frames(tmp_path / "ir" / "a")
    frames(tmp_path / "vis" / "a", size=(16, 32))
    files = list_clips("folder", tmp_path, "train")
    with pytest.raises(PairError, match=r"24x16.*32x16"):
        list(cache_clips(files, tmp_path / "cache"))
    told: list[str] = []
    assert list(cache_clips(files, tmp_path / "cache", skip_bad=lambda clip, _: told.append(clip.name))) == []
    assert told == ["a"]


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    frames(tmp_path / "ir" / "a")
    frames(tmp_path / "vis" / "a")
    (tmp_path / "cache").write_bytes(b"in the way")
    files = list_clips("folder", tmp_path, "train")
    with pytest.raises(OutputError, match=r"cannot be cached here.*--cache"):
        list(cache_clips(files, tmp_path / "cache"))


def test_missing_data_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"github.com/Linfeng-Tang/M3SVD.*infrared_Enhance"):
        list_clips("m3svd", tmp_path / "nothing", "train")
    with pytest.raises(UsageError, match="Did you mean 'm3svd'"):
        list_clips("m3sv", tmp_path, "train")


def test_data_option(tmp_path: Path) -> None:
    assert parse_data("m3svd", default_root=tmp_path) == ("m3svd", tmp_path / "m3svd")
    assert parse_data("m3svd:/data/x", default_root=tmp_path) == ("m3svd", Path("/data/x"))
    assert parse_data(str(tmp_path), default_root=tmp_path) == ("folder", tmp_path)


def test_the_cache_decodes_once_and_notices_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames(tmp_path / "ir" / "a")
    frames(tmp_path / "vis" / "a", level=100)
    files = list_clips("folder", tmp_path, "train")
    packed: list[str] = []
    original = cache_module._pack

    def counting(path: Path, target: Path, *, grey: bool) -> None:
        packed.append(path.parent.name)
        original(path, target, grey=grey)

    monkeypatch.setattr(cache_module, "_pack", counting)
    for _ in range(2):
        list(cache_clips(files, tmp_path / "cache"))
    assert packed == ["ir", "vis"]
    cv2.imwrite(str(tmp_path / "vis" / "a" / "0001.png"), np.full((16, 24, 3), 7, np.uint8))
    (clip,) = cache_clips(files, tmp_path / "cache")
    assert packed == ["ir", "vis", "vis"]
    assert int(clip.streams["vis"][1].max()) == 7
