"""Downloads survive bad hosts and never leave a wrong file under the right name."""

from __future__ import annotations

import hashlib
import os
import resource
import socket
from pathlib import Path

import pytest
from _server import Host, serve

from vfuse.download import Digest, Patience, fetch
from vfuse.errors import WeightsError

CONTENT = bytes(range(256)) * 400  # 102,400 bytes
QUICK = Patience(timeout=0.5, attempts=3, pause=0.0)


@pytest.fixture
def host():
    with serve() as running:
        yield running


def get(host: Host, target: Path, content: bytes = CONTENT, **options: object) -> None:
    fetch(
        f"{host.url}/w",
        target,
        digest=Digest("sha256", hashlib.sha256(content).hexdigest()),
        **{"patience": QUICK, **options},
    )


def test_a_good_host(host: Host, tmp_path: Path) -> None:
    host.files["/w"] = CONTENT
    seen: list[tuple[int, int | None]] = []
    get(
        host,
        tmp_path / "new" / "w",
        size=len(CONTENT),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (tmp_path / "new" / "w").read_bytes() == CONTENT
    assert os.listdir(tmp_path / "new") == ["w"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_cut_connection_is_resumed(host: Host, tmp_path: Path) -> None:
    host.files["/w"], host.cut["/w"] = CONTENT, [1000, 50_000]
    get(host, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == CONTENT
    assert host.asked == [("/w", None), ("/w", "bytes=1000-"), ("/w", "bytes=51000-")]


def test_an_interrupted_download_is_resumed_by_the_next_call(host: Host, tmp_path: Path) -> None:
    host.files["/w"], host.cut["/w"] = CONTENT, [1000, 0, 0]
    with pytest.raises(WeightsError, match=r"3 attempts.*1000 of 102400 bytes.*goes on where it stopped"):
        get(host, tmp_path / "w")
    assert os.listdir(tmp_path) == ["w.part"]
    get(host, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == CONTENT
    assert host.asked[-1] == ("/w", "bytes=1000-")


def test_a_host_without_ranges_starts_again(host: Host, tmp_path: Path) -> None:
    host.files["/w"], host.cut["/w"], host.no_ranges = CONTENT, [1000], True
    get(host, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == CONTENT


def test_a_host_without_length_is_believed_only_with_the_digest(host: Host, tmp_path: Path) -> None:
    host.files["/w"], host.no_length = CONTENT, True
    get(host, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == CONTENT
    host.cut["/w"] = [1000]
    with pytest.raises(WeightsError, match="another file"):
        get(host, tmp_path / "cut")
    host.cut["/w"] = [1000]
    get(host, tmp_path / "sized", size=len(CONTENT))  # knows that 1000 bytes are not all
    assert (tmp_path / "sized").read_bytes() == CONTENT


@pytest.mark.parametrize("sent", [CONTENT[:-1] + b"?", CONTENT + b"more", b"<html>sign in</html>", b""])
def test_another_file_is_never_kept(host: Host, tmp_path: Path, sent: bytes) -> None:
    host.files["/w"] = sent
    with pytest.raises(WeightsError, match="another file than expected"):
        get(host, tmp_path / "w")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * len(CONTENT), CONTENT + b"x"])
def test_the_rest_of_another_file_is_dropped(host: Host, tmp_path: Path, left: bytes) -> None:
    host.files["/w"] = CONTENT
    (tmp_path / "w.part").write_bytes(left)
    get(host, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == CONTENT


def test_a_good_file_is_not_replaced_by_a_bad_one(host: Host, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"good")
    host.files["/w"] = b"bad"
    with pytest.raises(WeightsError):
        get(host, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == b"good"


def test_not_found_is_said_at_once(host: Host, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="404 Not Found"):
        get(host, tmp_path / "w")
    assert len(host.asked) == 1


def test_a_busy_host_is_asked_again_but_not_for_ever(host: Host, tmp_path: Path) -> None:
    host.files["/w"], host.status["/w"] = CONTENT, [503, 503]
    get(host, tmp_path / "w")
    host.asked.clear()
    host.status["/w"] = [503] * 9
    with pytest.raises(WeightsError, match="3 attempts: the host answers 503"):
        get(host, tmp_path / "again")
    assert len(host.asked) == 3


@pytest.mark.parametrize("fault", ["silence", "drip"])
def test_a_slow_host_is_given_up(host: Host, tmp_path: Path, fault: str) -> None:
    host.files["/w"] = content = CONTENT[:100]
    getattr(host, fault)["/w"] = {"silence": 3.0, "drip": 0.05}[fault]
    with pytest.raises(
        WeightsError, match=r"2 attempts: (the host does not answer|the host sent \d+ bytes in 0.3 s)"
    ):
        get(host, tmp_path / "w", content, patience=Patience(timeout=0.3, attempts=2, pause=0.0))


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(WeightsError, match="Connection refused"):
        fetch(f"http://127.0.0.1:{port}/w", tmp_path / "w", digest=Digest("sha256", ""), patience=QUICK)


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://h/w", "data:,x", "/etc/hostname", "concat:a|b"]
)
def test_only_http(tmp_path: Path, url: str) -> None:
    with pytest.raises(WeightsError, match="not an http or https address"):
        fetch(url, tmp_path / "w", digest=Digest("sha256", ""))


def test_a_redirect_is_followed_but_never_out_of_http(host: Host, tmp_path: Path) -> None:
    host.files["/moved"] = CONTENT
    host.redirect["/w"] = f"{host.url}/moved"
    get(host, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == CONTENT
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    host.redirect["/w"] = secret.as_uri()
    with pytest.raises(WeightsError):
        get(host, tmp_path / "stolen")
    assert not (tmp_path / "stolen").exists()


def test_a_full_disk_is_one_sentence(host: Host, tmp_path: Path) -> None:
    host.files["/w"] = CONTENT
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(WeightsError, match="disk is full"):
            get(host, tmp_path / "w")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "w").exists()
    get(host, tmp_path / "w")  # goes on when there is room
    assert (tmp_path / "w").read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written(host: Host, tmp_path: Path) -> None:
    host.files["/w"] = CONTENT
    (tmp_path / "occupied").write_text("a file where a folder should be")
    with pytest.raises(WeightsError, match="cannot be written"):
        get(host, tmp_path / "occupied" / "w")


def test_git_names_a_file_as_git_does(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello world\n")
    assert Digest.of(tmp_path / "f", "git blob").value == "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"
    (tmp_path / "f").write_bytes(b"")
    assert Digest.of(tmp_path / "f", "git blob").value == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
