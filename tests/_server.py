"""A host on this machine that serves files well, badly or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Host:
    """What a test tells the host to do, and what the host was asked.

    Attributes:
        files: path to content.
        cut: path to byte counts; each request for the path takes the first and gets no more bytes than that.
        status: path to answers other than 200; each request takes the first.
        silence: path to seconds before the first byte of the body.
        drip: path to seconds between single bytes of the body.
        redirect: path to the address it moved to.
        no_ranges: ignore Range headers, as plain hosts do.
        no_length: send no Content-Length.
        asked: (path, Range header) of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    status: dict[str, list[int]] = field(default_factory=dict)
    silence: dict[str, float] = field(default_factory=dict)
    drip: dict[str, float] = field(default_factory=dict)
    redirect: dict[str, str] = field(default_factory=dict)
    no_ranges: bool = False
    no_length: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    host: Host

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        host, path, wanted = self.host, self.path, self.headers["Range"]
        host.asked.append((path, wanted))
        if path in host.redirect:
            self.send_response(302)
            self.send_header("Location", host.redirect[path])
            return self.end_headers()
        if host.status.get(path):
            return self.send_error(host.status[path].pop(0))
        if path not in host.files:
            return self.send_error(404)
        content = host.files[path]
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and not host.no_ranges else 0
        if start and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if not host.no_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        limit = host.cut[path].pop(0) if host.cut.get(path) else len(content)
        self._send(content[start : start + limit])

    def _send(self, body: bytes) -> None:
        try:
            self.wfile.flush()
            time.sleep(self.host.silence.get(self.path, 0))
            if pause := self.host.drip.get(self.path):
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(pause)
            else:
                self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client gave up, as some tests want


@contextmanager
def serve() -> Iterator[Host]:
    """A host on a free port of this machine for as long as the block lasts."""
    host = Host()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"host": host}))
    server.daemon_threads = True
    server.block_on_close = False
    host.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
