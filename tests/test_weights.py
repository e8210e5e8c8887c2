"""Downloads survive bad hosts, weights are never used unverified, checkpoints never run code."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import resource
import socket
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from _server import Host, serve
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vfuse.download import Digest, Patience, fetch
from vfuse.errors import UsageError, WeightsError
from vfuse.models import MODELS, ModelEntry, Output, Weights, _weights
from vfuse.models._convert import import_checkpoint, read_checkpoint
from vfuse.models._load import load_model
from vfuse.models._pull import pull
from vfuse.models._weights import choices, choose, locate, obtain, read_manifest, record_of, verify

CONTENT = bytes(range(256)) * 400  # 102,400 bytes
QUICK = Patience(timeout=0.5, attempts=3, pause=0.0)


class Tiny(nn.Module):
    """A network small enough to write down: fused = gain * vis + bias."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(3))
        self.bias = nn.Parameter(torch.zeros(3))
        self.register_buffer("steps", torch.zeros(2, dtype=torch.int64))

    def forward(self, ir: Tensor, vis: Tensor) -> Output:
        return Output(vis * self.gain.view(3, 1, 1) + self.bias.view(3, 1, 1))

    @staticmethod
    def convert_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key.replace("scale", "gain"): x for key, x in state.items() if not key.startswith("unused.")}


STATE = {
    "gain": torch.tensor([0.5, 1.0, 0.25]),
    "bias": torch.tensor([0.1, 0.0, 0.2]),
    "steps": torch.tensor([3, 4]),
}
PUBLISHED = OrderedDict(
    scale=STATE["gain"], bias=STATE["bias"], steps=STATE["steps"], **{"unused.norm": torch.ones(5)}
)


@pytest.fixture
def host():
    with serve() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user data directory and shipped weights with an empty manifest, both of this test alone."""
    monkeypatch.setenv("VFUSE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("VFUSE_OFFLINE", raising=False)
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    monkeypatch.setattr(_weights, "shipped_dir", lambda: shipped)
    write_manifest(shipped)
    return tmp_path


def write_manifest(folder: Path, *rows: dict[str, object]) -> None:
    (folder / "manifest.json").write_text(json.dumps({"schema_version": 1, "weights": rows}))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tiny_file(path: Path, state: dict[str, Tensor] = STATE) -> Weights:
    """Write a weight file and return what the manifest would say about it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path)
    content = path.read_bytes()
    return Weights(path.name, sha256(content), len(content), "Apache-2.0", "this test", "nothing")


def add_tiny(monkeypatch: pytest.MonkeyPatch, weights: dict[str, Weights] | None = None) -> ModelEntry:
    """What a third party does in its one file, undone after the test."""
    entry = ModelEntry("tiny", Tiny, params=6, window=3, overlap=1, min_size=1, weights=weights or {})
    assert "tiny" not in MODELS
    monkeypatch.setitem(MODELS._entries, "tiny", entry)
    return entry


def get(host: Host, target: Path, content: bytes = CONTENT, **options: object) -> None:
    fetch(f"{host.url}/w", target, digest=Digest("sha256", sha256(content)), **{"patience": QUICK, **options})


# ------------------------------------------------------------------------------------------------ downloads


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
    host.files["/w"] = CONTENT
    getattr(host, fault)["/w"] = {"silence": 3.0, "drip": 0.05}[fault]
    with pytest.raises(
        WeightsError, match=r"2 attempts: (the host does not answer|the host sent \d+ bytes in 0.3 s)"
    ):
        get(host, tmp_path / "w", patience=Patience(timeout=0.3, attempts=2, pause=0.0))


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


# -------------------------------------------------------------------------------------------- lookup order


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


# ------------------------------------------------------------------------------- published checkpoints


def save_published(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "container",
    [
        lambda state: state,
        lambda state: {"params": state},
        lambda state: {"params": state, "params_ema": {"other": torch.zeros(1)}},
        lambda state: {"state_dict": {f"module.{key}": x for key, x in state.items()}, "epoch": 3},
    ],
)
def test_import_reads_every_container(home: Path, monkeypatch: pytest.MonkeyPatch, container) -> None:
    add_tiny(monkeypatch)
    file = import_checkpoint(save_published(home / "net.pth", container(PUBLISHED)), "tiny.mine")
    assert file.path == home / "data" / "weights" / "tiny.mine.safetensors"
    written = load_file(file.path)
    assert written.keys() == STATE.keys()
    assert all(torch.equal(written[key], STATE[key]) for key in STATE)
    assert json.loads(record_of(file.path).read_text())["sha256"] == sha256(file.path.read_bytes())
    assert load_model("tiny.mine").sha256 == file.sha256
    verify(choose("tiny.mine"), file.path)


def test_import_takes_half_precision_and_old_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch)
    half = {key: x.half() if x.is_floating_point() else x for key, x in PUBLISHED.items()}
    torch.save(half, home / "old.pth", _use_new_zipfile_serialization=False)
    written = load_file(import_checkpoint(home / "old.pth", "tiny.old").path)
    assert written["gain"].dtype == torch.float32
    assert written["steps"].dtype == torch.int64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {k: x for k, x in s.items() if k != "bias"}, "missing bias"),
        (lambda s: {**s, "extra.weight": torch.ones(1)}, r"unexpected extra\.weight"),
        (lambda s: {**s, "bias": torch.ones(4)}, r"different bias \(4,\) instead of \(3,\)"),
        (lambda s: {**s, "steps": torch.ones(2)}, "different steps torch.float32 instead of torch.int64"),
        (lambda s: {**s, "bias": torch.tensor([1.0, float("nan"), 0.0])}, "not finite"),
        (lambda s: {f"layer{i}": torch.ones(1) for i in range(9)}, r"layer0, layer1, layer2 and 6 more"),
    ],
)
def test_import_is_strict(home: Path, monkeypatch: pytest.MonkeyPatch, change, message: str) -> None:
    add_tiny(monkeypatch)
    source = save_published(home / "net.pth", change(dict(PUBLISHED)))
    with pytest.raises(WeightsError, match=rf"net\.pth.*{message}"):
        import_checkpoint(source, "tiny.mine")
    assert not (home / "data").exists()


class Bomb:
    """Unpickled by the unwary, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch '{self.trace}'",))


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_nothing_in_a_checkpoint_runs(home: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    add_tiny(monkeypatch)
    trace, source = home / "it-ran", home / "evil.pth"
    content = {"params": {**PUBLISHED, "bias": Bomb(trace)}}
    if form == "pickle":
        source.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, source, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match=r"evil\.pth: .*(refused|damaged)"):
        import_checkpoint(source, "tiny.mine")
    assert not trace.exists()
    assert not (home / "data").exists()
    torch.load(source, weights_only=False) if form != "pickle" else pickle.loads(source.read_bytes())
    assert trace.exists()  # the bomb is live: elsewhere it would have gone off


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02]", b"text " * 99, pickle.dumps([1, 2])])
def test_what_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.pth: (is damaged|holds no plain table)"):
        read_checkpoint(tmp_path / "net.pth")


@pytest.mark.parametrize(
    "content", [[1], {}, {"a": 1}, {1: torch.ones(1)}, {"a": torch.ones(2, 2).to_sparse()}, torch.ones(3)]
)
def test_only_tables_of_tensors(tmp_path: Path, content: object) -> None:
    with pytest.raises(WeightsError, match="holds no plain table"):
        read_checkpoint(save_published(tmp_path / "net.pth", content))


def test_import_needs_a_free_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch, {"test": tiny_file(home / "shipped" / "tiny.safetensors")})
    source = save_published(home / "net.pth", PUBLISHED)
    for name, message in (
        ("tiny", "a network and a tag"),
        ("tiny.", "a network and a tag"),
        ("tiny.../../x", "a network and a tag"),
        ("tiny.test", "listed already"),
        ("nothing.mine", "unknown model"),
    ):
        with pytest.raises(UsageError, match=message):
            import_checkpoint(source, name)
    import_checkpoint(source, "tiny.mine")
    with pytest.raises(UsageError, match="imported before"):
        import_checkpoint(source, "tiny.mine")
    import_checkpoint(source, "tiny.mine", overwrite=True)
    with pytest.raises(WeightsError, match="does not exist"):
        import_checkpoint(home / "absent.pth", "tiny.other")


def published_tiny(home: Path, host: Host, monkeypatch: pytest.MonkeyPatch, content: object) -> str:
    """List tiny.published in the manifest, serve it as GitHub would, and return its path on the host."""
    source = save_published(home / "served.pth", content)
    git = {
        "repository": "an/author",
        "commit": "c" * 40,
        "path": "net/latest.pth",
        "blob": Digest.of(source, "git blob").value,
    }
    row = {
        "model": "tiny",
        "tag": "published",
        "file": "tiny.published.safetensors",
        "sha256": "",
        "bytes": 0,
    }
    row |= {"licence": "none stated", "source": "its authors", "trained_on": "not stated", "git": git}
    write_manifest(home / "shipped", row)
    add_tiny(monkeypatch)
    place = f"/{git['repository']}/{git['commit']}/{git['path']}"
    host.files[place] = source.read_bytes()
    return place


def test_published_weights_are_pulled_verified_and_converted(
    home: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = published_tiny(home, host, monkeypatch, {"params": PUBLISHED})
    assert locate(choose("tiny.published").weights) is None
    with pytest.raises(WeightsError, match=r"vfuse weights pull tiny\.published"):
        load_model("tiny.published")  # never fetched unasked: the user should know about the licence
    assert host.asked == []

    host.cut[place] = [700]
    file = pull("tiny.published", mirror=host.url)
    assert host.asked == [(place, None), (place, "bytes=700-")]
    assert sorted(os.listdir(home / "data" / "weights")) == [
        "tiny.published.safetensors",
        "tiny.published.safetensors.json",
    ]
    known = choose("tiny").weights
    assert (known.sha256, known.licence) == (sha256(file.path.read_bytes()), "none stated")
    assert torch.equal(load_model("tiny").network.gain.detach(), STATE["gain"])
    assert pull("tiny.published", mirror=host.url) == file
    assert len(host.asked) == 2  # it is here

    file.path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="instead of"):
        load_model("tiny")
    assert pull("tiny.published", mirror=host.url).sha256 == known.sha256


def test_another_published_file_is_refused(home: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    place = published_tiny(home, host, monkeypatch, {"params": PUBLISHED})
    host.files[place] = host.files[place][:-1] + b"?"
    with pytest.raises(WeightsError, match="git blob"):
        pull("tiny.published", mirror=host.url)
    assert os.listdir(home / "data" / "weights") == []

    other = save_published(home / "other.pth", {"params": {**PUBLISHED, "bias": torch.zeros(3)}})
    with pytest.raises(WeightsError, match=r"is not net/latest\.pth of an/author.*tiny\.mine"):
        import_checkpoint(other, "tiny.published")
    import_checkpoint(home / "served.pth", "tiny.published")  # downloaded by hand: the same file, welcome
    load_model("tiny.published")


def test_the_real_manifest_pins_the_authors_files() -> None:
    pins = {model: tags["published"].git for model, tags in read_manifest().items() if "published" in tags}
    assert {model: (git.repository, git.commit, git.blob) for model, git in pins.items()} == {
        "videofusion": (
            "Linfeng-Tang/VideoFusion",
            "e38a803a360e8ace90c468025ac2b9bde8522bf0",
            "50026edb9260762d54419a79042e9497a060f81c",
        ),
        "temcoco": (
            "Meiqi-Gong/TemCoCo",
            "06bdad4b59a7fe256c36487cd62ba5ed6fa2826c",
            "b1237141ec6ab1cf1fe77b95fbc5e25e2deb19f3",
        ),
    }
    for model in pins:
        weights = read_manifest()[model]["published"]
        assert weights.licence == "none stated"
        assert not (_weights.shipped_dir() / weights.file).exists()  # never shipped
        assert not weights.url  # never re-hosted
