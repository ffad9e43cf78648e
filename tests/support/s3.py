"""An S3 server on loopback, and a proxy that delays, loses and answers requests in its place."""

from __future__ import annotations

import http.client
import http.server
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.cloud.connect import connect
from onepass.cloud.url import parse_url

KEY_ID, SECRET = "AKIAONEPASSTESTKEYID", "onepass/test+SECRET0123456789abcdefghij"

Action = Literal["pass", "cut", "lose", "hang"] | int | tuple[int, str]
"""Treatment of a request. ``pass`` forwards it; ``cut`` forwards it and drops the answer; ``lose``
drops it before it reaches the server; ``hang`` forwards it and answers too late. A status, with or
without an error code, is the proxy's own answer."""


_SERVE = """
import sys
from threading import Lock

from moto.moto_server.werkzeug_app import DomainDispatcherApplication as Application
from moto.server import main
from werkzeug.serving import WSGIRequestHandler

# Header and body are two packets, and Nagle's algorithm would delay the second one.
WSGIRequestHandler.disable_nagle_algorithm = True

# One request at a time, because moto checks for a key and creates it in two steps.
lock, answer = Lock(), Application.__call__


def one_at_a_time(self, *request):
    with lock:
        return answer(self, *request)


Application.__call__ = one_at_a_time
main(sys.argv[1:])
"""


class Server:
    """moto's S3 server in a process of its own, on a free port.

    Parameters
    ----------
    environment
        Additional environment variables of the process.
    """

    def __init__(self, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-c", _SERVE, "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", **environment},
        )
        self._wait()

    def make_bucket(self, name: str) -> None:
        """Create a bucket."""
        self.put(name, b"")

    def put(self, path: str, data: bytes) -> None:
        """Store an object, by bucket and key."""
        # urllib's default type is a form, whose data the server would read as parameters.
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{self.url}/{path}", data, headers, method="PUT")
        with urllib.request.urlopen(request, timeout=20):
            pass

    def stop(self) -> None:
        """End the process, and no other."""
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/moto-api/", timeout=5):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                assert self._process.poll() is None, "the S3 server has ended"
                assert time.monotonic() < until, "the S3 server does not answer"
                time.sleep(0.05)


@dataclass
class Proxy:
    """A proxy that treats each request as a rule decides.

    Parameters
    ----------
    upstream
        URL of the server.
    rule
        Returns the action for a method and a path with its query; by default all requests pass.
    """

    upstream: str
    rule: Callable[[str, str], Action] = lambda method, path: "pass"
    seen: list[tuple[str, str, Action]] = field(default_factory=list)
    """Method, path and action of every request."""
    delay: float = 0.0
    """Seconds by which every answer is delayed."""

    def __enter__(self) -> Proxy:
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _passing(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def forward(self, request: Any, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Forward a request to the server; return status, headers and body of the answer."""
        host = self.upstream.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=30)
        try:
            headers = {k: v for k, v in request.headers.items() if k.lower() != "connection"}
            connection.request(request.command, request.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


def _passing(proxy: Proxy) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            action = proxy.rule(self.command, self.path)
            proxy.seen.append((self.command, self.path, action))
            if action == "lose":
                return self.reset()
            if isinstance(action, int):
                action = (action, "Injected")
            if isinstance(action, tuple):
                status, code = action
                return self.reply(status, [], f"<Error><Code>{code}</Code></Error>".encode())
            status, headers, data = proxy.forward(self, body)
            if action == "cut":
                return self.reset()
            time.sleep(30 if action == "hang" else proxy.delay)
            return self.reply(status, headers, data)

        def reply(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                    self.send_header(name, value)
            length = dict((k.lower(), v) for k, v in headers).get("content-length")
            is_head = self.command == "HEAD" and length is not None
            self.send_header("Content-Length", str(length if is_head else len(data)))
            self.end_headers()
            self.wfile.write(data)

        def reset(self) -> None:
            self.close_connection = True
            # A linger time of 0 sends a reset, as when a machine goes down.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

        def handle(self) -> None:
            try:
                super().handle()
            except (OSError, ValueError):
                return  # The client, or this proxy, has closed the connection.

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    return Handler


def keys(url: str) -> list[str]:
    """Return the keys of all objects in a bucket or below a prefix."""
    where = parse_url(url)
    return [meta["path"] for meta in connect(where).list(where.path or None).collect()]


def put_table(url: str, table: pa.Table) -> None:
    """Write a table as a Parquet object."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=150)
    connect(parse_url(url)).put(parse_url(url).path, sink.getvalue().to_pybytes())
