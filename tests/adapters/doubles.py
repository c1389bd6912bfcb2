"""Scripted services on loopback, in place of the tools that evidence is fetched from."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from pilotage.core.canonical import Json

Reply = tuple[int, dict[str, str], bytes]
Route = Callable[[str, dict[str, str]], Reply]


class Double:
    """A scripted service on loopback. `seen` are the requests: path with query, and the Authorization header."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.routes: dict[str, Route] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name http.server wants
                outer.seen.append((self.path, self.headers.get("Authorization", "")))
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                route = outer.routes.get(parts.path)
                status, headers, body = route(parts.path, query) if route else (404, {}, b"{}")
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def on(self, path: str, *answers: Json, **headers: str) -> None:
        """Answer a path with these values in order, the last one for ever."""
        left = list(answers)
        self.routes[path] = lambda *_: (200, headers, json.dumps(left.pop(0) if len(left) > 1 else left[0]).encode())

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
