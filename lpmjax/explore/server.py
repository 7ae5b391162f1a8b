"""The server: the page, what it asks for, and what is refused.

It listens on 127.0.0.1 alone. A web page elsewhere can send the browser to it all the same, so a request whose ``Host``
is not this machine (a name that was rebound to it) or that comes from another site is refused. Nothing that it answers
depends on who asks, and nothing is kept.
"""

import http.server
import io
import json
import sys
import threading
import urllib.parse
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing, contextmanager
from http import HTTPStatus
from importlib import resources
from typing import Any

from ..counts.files import read_stream
from ..files import plain
from .diagnosis import asked, events, in_python
from .diagram import diagram
from .picture import picture
from .point import MODELS, Point

#: bytes of a file that is taken; a longer one is for the command line, which streams
MOST_BYTES = 2**24
_DIAGNOSES = 2  #: at once
_HOSTS = ("127.0.0.1", "localhost")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that is not answered: status and reason."""

    def __init__(self, status: HTTPStatus, reason: str):
        super().__init__(reason)
        self.status = status


class Server(http.server.ThreadingHTTPServer):
    """On a port of 127.0.0.1; 0 takes a free one. OSError with the remedy if it is taken."""

    daemon_threads = True

    def __init__(self, port: int):
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise OSError(f"cannot listen on port {port}: {why}; choose another --port (0: any free one).") from None
        self.files = dict(_page())
        self.diagnoses = threading.BoundedSemaphore(_DIAGNOSES)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def warm_up(self) -> None:
        """Compile, or load what was compiled, what the page asks for first."""
        for model in MODELS:
            picture(Point.first(model))
            diagram(Point.first(model))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(port: int) -> Generator[Server]:
    """A server that answers in the background. Diagnoses end with the process."""
    with Server(port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Thread(target=server.warm_up, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lpmjax", ""
    # One segment an answer, sent at once: else the browser waits 40 ms to acknowledge the head before the body comes.
    wbufsize, disable_nagle_algorithm = -1, True
    timeout = 60

    def do_GET(self) -> None:
        self._answered(self._get)

    def do_POST(self) -> None:
        self._answered(self._post)

    def _refuse_method(self) -> None:
        self._answered(self._no_such_method)

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse_method

    def _answered(self, answer: Any) -> None:
        try:
            self._check_sender()
            answer()
        except Refused as refused:
            self.close_connection = True  # whatever of the request has not been read
            self._send_json({"error": str(refused)}, refused.status)
        except ValueError as error:
            # An answer as others are: browsers report any other status as an error of the page.
            self._send_json({"error": str(error)})

    def _check_sender(self) -> None:
        """From this machine's page, or typed into the address bar."""
        hosts = self.headers.get_all("Host", [])
        name = urllib.parse.urlsplit(f"//{hosts[0]}").hostname if len(hosts) == 1 else None
        if name not in _HOSTS:
            raise Refused(HTTPStatus.FORBIDDEN, f"Host = {', '.join(hosts)!r} is not this machine: use 127.0.0.1.")
        origin = self.headers.get("Origin")
        site = self.headers.get("Sec-Fetch-Site", "none")
        if origin not in (None, f"http://{hosts[0]}") or (site in ("cross-site", "same-site") and self.path != "/"):
            raise Refused(HTTPStatus.FORBIDDEN, f"Origin = {origin!r} is another site: only the page itself may ask.")

    def _no_such_method(self) -> None:
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{self.command} is no method of this server: use GET or POST.")

    def _asked(self) -> tuple[str, dict[str, str]]:
        """Path and parameters."""
        path, _, query = self.path.partition("?")
        return path, dict(urllib.parse.parse_qsl(query, keep_blank_values=True, max_num_fields=20))

    def _get(self) -> None:
        path, query = self._asked()
        if path in self.server.files:
            self._send(*self.server.files[path])
        elif path == "/api/picture":
            self._send_json(picture(Point.of(query)))
        elif path == "/api/diagram":
            self._send_json(diagram(Point.of(query)))
        else:
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no {path[:80]!r} here.")

    def _post(self) -> None:
        path, query = self._asked()
        if path != "/api/diagnosis":
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no {path[:80]!r} here.")
        content = self._body()
        file, reading, model = query.get("file") or "counts", query.get("reading") or None, asked(query)
        counts = read_stream(file, io.BytesIO(content), reading)
        if not self.server.diagnoses.acquire(blocking=False):
            raise ValueError(f"{_DIAGNOSES} diagnoses are running: cancel one, or wait.")
        try:
            first = {"event": "read", "reading": counts.reading, "python": in_python(file, reading, model)}
            with closing(events(counts, model)) as told:
                self._stream(first, told)
        finally:
            self.server.diagnoses.release()

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing: send the file in one piece.")
        if int(length) > MOST_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large(int(length)))
        return self.rfile.read(int(length))

    def _stream(self, first: Mapping[str, Any], rest: Iterable[Mapping[str, Any]]) -> None:
        """A line of JSON for each event; the end of the connection is that of the answer. Whoever hangs up cancels."""
        self.close_connection = True
        self._send_head("application/x-ndjson", None, HTTPStatus.OK)
        self._write(first)
        for event in rest:
            self._write(event)

    def _write(self, event: Mapping[str, Any]) -> None:
        self.wfile.write(json.dumps(plain(event)).encode() + b"\n")
        self.wfile.flush()

    def _send_json(self, record: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send("application/json", json.dumps(plain(record)).encode(), status)

    def _send(self, kind: str, content: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send_head(kind, len(content), status)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_head(self, kind: str, length: int | None, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        if length is not None:
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is the user's."""


def too_large(size: int) -> str:
    """What is said of a file that is not taken."""
    return (
        f"the file has {size} bytes, and at most {MOST_BYTES} are taken here: give class,count rows, or run "
        "lpmjax diagnose FILE, which streams files of any size."
    )


def _page() -> Generator[tuple[str, tuple[str, bytes]]]:
    """Paths, kinds and contents of the page's files."""
    for file in (resources.files("lpmjax.explore") / "page").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        path = "/" if file.name == "index.html" else f"/{file.name}"
        yield path, (_TYPES[suffix], file.read_bytes())
