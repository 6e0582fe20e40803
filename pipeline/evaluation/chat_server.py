"""A language model behind `/v1/chat/completions`: Ollama, llama.cpp, vLLM, LM Studio, a hosted one.

The one place in the program that sends anything, and only to the address that the user names. A
server on this machine or its network is contacted directly, never through a proxy, and no redirect
is followed: what is sent goes nowhere else. An answer's body is in no error line, since it may
quote the chat.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from pipeline.common.errors import ServerError, SettingsError

KEY = "JUDGE_API_KEY"  # of the environment, for servers that ask for one
PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before each further try
MAX_TOKENS = 1024  # of an answer
BUSY = (408, 429, 500, 502, 503, 504)
HINTS = {
    401: f"put its key into the environment variable {KEY}",
    403: f"put its key into the environment variable {KEY}",
    404: "check that --judge is the address of an OpenAI-compatible server",
}
Messages = Sequence[Mapping[str, str]]


class ChatServer:
    """A model of a server. `where` names the server in messages to people."""

    def __init__(
        self, url: str, model: str, timeout: float = 300.0, pauses: Sequence[float] = PAUSES
    ) -> None:
        self.base, self.model = _base(url), model
        self.timeout, self.pauses = timeout, pauses
        parts = urlsplit(self.base)
        self.where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.local = is_local(parts.hostname or "")
        direct = [ProxyHandler({})] if self.local else []
        self._opener = build_opener(_NoRedirects, *direct)

    def answer(self, messages: Messages) -> str:
        """The likeliest answer; "" for one without text. ServerError when there is none to get."""
        body = {"model": self.model, "messages": list(messages)}
        limits = {"temperature": 0, "max_tokens": MAX_TOKENS}
        match self._patiently("chat/completions", {**body, **limits}):
            case {"choices": [{"message": {"content": str(content)}}, *_]}:
                return content
        return ""

    def models(self) -> list[str]:
        """The models that the server says it has; none when it does not say."""
        try:
            reply = self._once("models")
        except (OSError, HTTPException, ValueError):
            return []
        match reply:
            case {"data": list(rows)}:
                return [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row]
        return []

    def _patiently(self, path: str, body: Mapping[str, object]) -> object:
        """The server's answer, asked for again while it is busy or sends something unreadable."""
        for pause in (*self.pauses, None):
            try:
                return self._once(path, body)
            except (OSError, HTTPException, ValueError) as error:
                if pause is None or not _passes(error):
                    raise ServerError(self._sentence(error)) from None
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _once(self, path: str, body: Mapping[str, object] | None = None) -> object:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.base}/{path}", data, headers)
        try:
            with self._opener.open(request, timeout=self.timeout) as response:
                reply: object = json.load(response)
                return reply
        except HTTPError as error:
            error.close()
            raise

    def _sentence(self, error: Exception) -> str:
        if isinstance(error, HTTPError):
            return f"{self.where} {self._refusal(error.code)}."
        if isinstance(error, TimeoutError):
            return f"{self.where} did not answer within {self.timeout:g} seconds."
        if isinstance(error, URLError):
            return f"{self.where} cannot be reached ({_reason(error)}); is the server running?"
        return f"{self.where} does not answer as an OpenAI-compatible server; check --judge."

    def _refusal(self, code: int) -> str:
        known = self.models() if code in (400, 404) else []
        if known and self.model not in known:
            return f"has no model {self.model}; it has {', '.join(known)}"
        names = {status.value: status.phrase for status in HTTPStatus}
        hint = HINTS.get(code, "try again later" if code in BUSY else "see what the server logged")
        return f"answers {code} {names.get(code, '')}; {hint}"


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Nothing is sent to an address that the user did not name."""


def _passes(error: Exception) -> bool:
    """Whether the error may pass, so that it makes sense to ask again."""
    if isinstance(error, HTTPError):
        return error.code in BUSY
    return isinstance(error, ConnectionError | HTTPException | ValueError)


def is_local(host: str) -> bool:
    """Whether a host is this machine or in its private network; False for an unknown name."""
    try:
        addresses = {ipaddress.ip_address(row[4][0]) for row in socket.getaddrinfo(host, None)}
    except (OSError, ValueError):
        return False
    return all((getattr(ip, "ipv4_mapped", None) or ip).is_private for ip in addresses)


def _base(url: str) -> str:
    """The address up to and including `/v1`; what people paste may end before or after that."""
    base = url.strip().rstrip("/").removesuffix("/chat/completions")
    try:
        parts = urlsplit(base)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise SettingsError(f"--judge {url}: write it as http://localhost:11434.")
    return base if base.endswith("/v1") else f"{base}/v1"


def _reason(error: URLError) -> str:
    reason = error.reason
    return (reason.strerror if isinstance(reason, OSError) else str(reason)) or "no answer"
