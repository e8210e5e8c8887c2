"""Weights are found in the promised order and never used unverified; offline means no socket."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch
from _server import Host, serve
from _tiny import STATE, add_tiny, isolate, tiny_file, write_manifest

from vfuse.errors import UsageError, WeightsError
from vfuse.models import Weights
from vfuse.models._load import load_model
from vfuse.models._pull import pull
from vfuse.models._weights import choices, choose, obtain


@pytest.fixture
def host():
    with serve() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return isolate(tmp_path, monkeypatch)


def test_explicit_before_shipped_before_user_before_download(
    home: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tiny_file(home / "source" / "tiny.safetensors")
    content = (home / "source" / source.file).read_bytes()
    weights = Weights(**{**vars(source), "url": f"{host.url}/tiny.safetensors"})
    host.files["/tiny.safetensors"] = content
    add_tiny(monkeypatch, {"test": weights})

    downloaded = obtain(choose("tiny")).path
    assert downloaded == home / "data" / "weights" / "tiny.safetensors"
    assert len(host.asked) == 1
    assert obtain(choose("tiny")).path == downloaded
    assert len(host.asked) == 1  # found, not asked for again

    (home / "shipped" / source.file).write_bytes(content)
    assert obtain(choose("tiny.test")).path == home / "shipped" / source.file

    other = tiny_file(home / "mine.safetensors", {**STATE, "gain": torch.full((3,), 0.75)})
    model = load_model("tiny", weights=home / "mine.safetensors")
    assert torch.equal(model.network.gain.detach(), torch.full((3,), 0.75))
    assert model.sha256 == other.sha256


@pytest.mark.parametrize("damage", ["flip", "cut", "grow"])
def test_a_damaged_file_is_never_loaded(home: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    path = home / "shipped" / "tiny.safetensors"
    add_tiny(monkeypatch, {"test": tiny_file(path)})
    load_model("tiny")
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1  # the last byte of a tensor: safetensors itself would not notice
    path.write_bytes({"flip": content, "cut": content[:-1], "grow": content + b"\0"}[damage])
    with pytest.raises(WeightsError, match=r"tiny\.safetensors: (is damaged|has \d+ bytes instead of)"):
        load_model("tiny")


def test_offline_opens_no_socket(home: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tiny_file(home / "source" / "tiny.safetensors")
    host.files["/tiny.safetensors"] = (home / "source" / weights.file).read_bytes()
    add_tiny(monkeypatch, {"test": Weights(**{**vars(weights), "url": f"{host.url}/tiny.safetensors"})})

    def forbidden(*args: object, **options: object) -> None:
        raise AssertionError("a socket was opened")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", forbidden)
        patch.setattr(socket, "create_connection", forbidden)
        patch.setattr(socket, "getaddrinfo", forbidden)
        with pytest.raises(WeightsError, match="offline"):
            load_model("tiny", offline=True)
        with pytest.raises(WeightsError, match="offline"):
            pull("tiny", offline=True)
        patch.setenv("VFUSE_OFFLINE", "1")
        with pytest.raises(WeightsError, match="offline"):
            load_model("tiny")
        patch.setenv("VFUSE_OFFLINE", "0")
        with pytest.raises(AssertionError, match="a socket was opened"):  # the trap itself works
            load_model("tiny")
    assert host.asked == []
    load_model("tiny")
    monkeypatch.setenv("VFUSE_OFFLINE", "1")
    load_model("tiny")  # what is here needs no network


def test_a_tag_selects(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tiny_file(home / "shipped" / "a.safetensors")
    second = tiny_file(home / "shipped" / "b.safetensors", {**STATE, "gain": torch.full((3,), 0.75)})
    add_tiny(monkeypatch, {"one": first, "two": second})
    assert choose("tiny").tag == "one"
    assert load_model("tiny").sha256 == first.sha256
    assert load_model("tiny.two").sha256 == second.sha256
    with pytest.raises(UsageError, match=r"Did you mean 'tiny\.two'\?"):
        choose("tiny.tow")
    with pytest.raises(UsageError, match="unknown model"):
        choose("tinny")


def test_the_manifest_gives_weights_to_a_network(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tiny_file(home / "shipped" / "listed.safetensors")
    row = {
        "model": "tiny",
        "tag": "listed",
        "params": 6,
        **vars(weights),
        "git": None,
        "scores": {"ssim": 0.5},
    }
    write_manifest(home / "shipped", row)
    add_tiny(monkeypatch)
    assert choose("tiny").tag == "listed"
    assert choose("tiny").weights.scores == {"ssim": 0.5}
    assert load_model("tiny").weights == "tiny.listed"
    assert {choice.name for choice in choices()} >= {"tiny.listed", "average"}


def test_a_network_without_any_weights_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch)
    with pytest.raises(WeightsError, match=r"no weights of 'tiny' are known.*--weights"):
        load_model("tiny")


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"weights": 3}', '{"weights": [{"model": "tiny", "tag": "a"}]}']
)
def test_a_damaged_manifest_or_record_is_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    add_tiny(monkeypatch)
    (home / "shipped" / "manifest.json").write_text(text)
    with pytest.raises(WeightsError, match=r"manifest\.json: the list of weights cannot be read"):
        choose("tiny")
    write_manifest(home / "shipped")
    record = home / "data" / "weights" / "tiny.mine.safetensors.json"
    record.parent.mkdir(parents=True)
    record.write_text(text)
    with pytest.raises(WeightsError, match=r"tiny\.mine\.safetensors\.json: .*import the weights again"):
        choose("tiny")
