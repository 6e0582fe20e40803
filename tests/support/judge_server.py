"""A small server that speaks the protocol of `/v1/chat/completions`, with faults on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answers = Callable[[dict], object]  # a body → the text of the answer, or (status, raw body)


def facts(messages: list[dict]) -> dict:
    """The JSON that a question begins with; what form the answer shall have stands after it."""
    return json.JSONDecoder().raw_decode(messages[1]["content"])[0]


class Served:
    """A running server: where it is, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[dict] = []
        self.headers: list[dict] = []

    def facts(self, n: int) -> dict:
        """What question `n` showed to the judge."""
        return facts(self.bodies[n]["messages"])


@contextmanager
def serving(answers: Answers, models: tuple[str, ...] = ("wise",)) -> Iterator[Served]:
    """`answers` gives each reply; a name that is not in `models` is answered with 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"data": [{"id": name} for name in models]}
            self.reply(*((200, known) if self.path == "/v1/models" else (404, {})))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.bodies.append(body)
            served.headers.append(dict(self.headers))
            if self.path != "/v1/chat/completions" or body["model"] not in models:
                self.reply(404, {"error": {"message": "private text"}})
                return
            said = answers(body)
            if isinstance(said, tuple):
                self.reply(*said)
            else:
                self.reply(200, {"choices": [{"message": {"role": "assistant", "content": said}}]})

        def reply(self, status: int, body: object) -> None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            if status in (302, 307):
                self.send_header("Location", "http://example.org/v1/chat/completions")
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Served(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
