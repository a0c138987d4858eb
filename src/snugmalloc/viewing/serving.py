"""Owns serving a page to the browser of the same machine and user."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOOPBACK = "127.0.0.1"


class PageServer(ThreadingHTTPServer):
    """Serves one page on loopback, on a port that is free, to whoever has its address.

    Other users of the machine do not: a part of the address is drawn at random.
    """

    daemon_threads = True

    def __init__(self, page: bytes) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.page = page
        self.path = f"/{secrets.token_urlsafe(12)}/"

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}{self.path}"


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        if self.path != self.server.path:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.page)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(self.server.page)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is logged: the terminal is the user's."""
