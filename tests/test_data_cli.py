"""`vfuse data`: what is here, what is wrong with it, packing it, and fetching the free test split."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from _media import ramp, write_images
from _server import serve
from typer.testing import CliRunner, Result

from vfuse.cli.main import app
from vfuse.download import Patience
from vfuse.errors import InputError, OutputError
from vfuse.io import pull as pull_module
from vfuse.io.pull import Listing, RemoteFile, pull_files, test_files

test_files.__test__ = False  # type: ignore[attr-defined]
FILES = {"Video/test/infrared/a.mp4": b"warm", "Video/test/visible/a.mp4": b"bright" * 99}
QUICK = Patience(timeout=5, attempts=2, pause=0.01)


def data(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


LISTING = Listing(
    "someone/m3svd", "abc", "MIT", tuple(RemoteFile(path, blob(content)) for path, content in FILES.items())
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VFUSE_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.delenv("VFUSE_OFFLINE", raising=False)
    return tmp_path / "home" / "datasets"


def pair(root: Path, *, name: str = "a", ir: int = 4, vis: int = 4) -> None:
    for modality, count in (("ir", ir), ("vis", vis)):
        write_images(root / modality / name, ramp(count, 48, 40, grey=modality == "ir"))


def test_the_shipped_list_is_the_whole_test_split() -> None:
    listing = test_files()
    stems = [Path(file.path).stem for file in listing.files]
    assert len(listing.files) == 60
    assert all(stems.count(stem) == 2 for stem in stems)
    assert listing.licence.startswith("MIT")
    assert all(len(file.blob) == 40 for file in listing.files)


def test_pull_fetches_verifies_and_leaves_alone_what_is_right(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_module, "test_files", lambda: LISTING)
    root = home / "m3svd"
    with serve() as host:
        host.files = {f"/someone/m3svd/abc/{path}": content for path, content in FILES.items()}
        first = json.loads(data("pull", "m3svd-test", "--mirror", host.url, "--json", "-q").stdout)
        assert {path: (root / path).read_bytes() for path in FILES} == FILES
        (root / "Video/test/infrared/a.mp4").write_bytes(b"damaged")
        second = json.loads(data("pull", "--mirror", host.url, "--json", "-q").stdout)
        assert {path: (root / path).read_bytes() for path in FILES} == FILES
    assert (first["fetched"], second["fetched"], second["root"]) == (2, 1, str(root))


def test_pull_keeps_nothing_that_is_another_file(tmp_path: Path) -> None:
    with serve() as host:
        host.files = {f"/someone/m3svd/abc/{path}": b"another" for path in FILES}
        with pytest.raises(InputError, match="another file than expected"):
            pull_files(LISTING.files, tmp_path, listing=LISTING, mirror=host.url, patience=QUICK)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_pull_says_when_it_is_offline_or_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="offline"):
        pull_files(LISTING.files, tmp_path, listing=LISTING, offline=True)
    (tmp_path / "Video").write_bytes(b"in the way")
    with serve() as host, pytest.raises(OutputError):
        pull_files(LISTING.files, tmp_path, listing=LISTING, mirror=host.url, patience=QUICK)
    unknown = data("pull", "m3svd-train")
    assert (unknown.exit_code, "m3svd-test" in unknown.stderr) == (2, True)


def test_list_tells_licence_and_what_is_here(home: Path) -> None:
    pair(home / "folder")
    rows = {row["name"]: row for row in json.loads(data("list", "--json").stdout)["datasets"]}
    assert (rows["folder"]["clips"], rows["m3svd"]["clips"]) == ({"train": 1}, {})
    assert rows["m3svd"]["licence"] == "MIT"
    text = data("list").stdout
    assert "folder: licence yours; 1 train clips" in text
    assert "m3svd: licence MIT; not here" in text


def test_check_passes_a_good_folder_and_names_what_is_wrong(tmp_path: Path) -> None:
    pair(tmp_path)
    assert data("check", tmp_path).exit_code == 0
    pair(tmp_path, name="b", ir=4, vis=3)
    write_images(tmp_path / "ir" / "c", ramp(4, 48, 40))
    write_images(tmp_path / "vis" / "c", ramp(4, 64, 40, grey=False))
    bad = data("check", tmp_path)
    assert bad.exit_code == 4
    assert "2 problems" in bad.stderr
    assert "different length: 4 frames" in bad.stdout
    assert "vis 4 frames of 64x40" in bad.stdout
    nothing = data("check", f"m3svd:{tmp_path / 'nowhere'}")
    assert (nothing.exit_code, "github.com/Linfeng-Tang/M3SVD" in nothing.stdout) == (3, True)


def test_cache_packs_and_counts_what_it_leaves_out(tmp_path: Path) -> None:
    pair(tmp_path / "set")
    pair(tmp_path / "set", name="broken")
    (tmp_path / "set" / "vis" / "broken" / "0002.png").write_bytes(b"no picture")
    options = ["cache", tmp_path / "set", "--cache", tmp_path / "cache"]
    refused = data(*options, "-q")
    assert (refused.exit_code, "0002.png" in refused.stderr) == (3, True)
    done = data(*options, "--skip-bad", "--json")
    told = json.loads(done.stdout)
    assert (told["clips"], told["frames"], told["bytes"]) == (1, 4, 4 * 48 * 40 * 4)
    assert "1 of 2 clips" in done.stderr
    assert "broken" in done.stderr


def test_a_cut_off_cache_file_is_packed_again(tmp_path: Path) -> None:
    pair(tmp_path / "set")
    options = ["cache", tmp_path / "set", "--cache", tmp_path / "cache", "-q"]
    assert data(*options).exit_code == 0
    (grey,) = (tmp_path / "cache").glob("*-grey.npy")
    content = grey.read_bytes()
    grey.write_bytes(content[:-100])
    assert data(*options).exit_code == 0
    assert grey.read_bytes() == content
    first = cv2.imread(str(tmp_path / "set" / "ir" / "a" / "0000.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(np.load(grey)[0, 0], first)
