"""The one connection that the program can open: how it asks, waits, gives up, and keeps private."""

from __future__ import annotations

import socket

import pytest
from judge_server import serving

from pipeline.common.errors import ServerError, SettingsError
from pipeline.evaluation.chat_server import ChatServer, is_local

HELLO = [{"role": "user", "content": "héllo \U0001f602"}]


def ask(served, model="wise", **options) -> str:
    return ChatServer(served.url, model, pauses=(0.0, 0.0), **options).answer(HELLO)


def test_what_is_asked_and_answered():
    with serving(lambda body: "fine ✓") as served:
        assert ask(served) == "fine ✓"
    (body,) = served.bodies
    assert body["messages"] == HELLO
    assert (body["model"], body["temperature"]) == ("wise", 0)
    assert "Authorization" not in served.headers[0]


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_the_address_may_end_before_or_after_v1(end):
    with serving(lambda body: "yes") as served:
        assert ChatServer(served.url + end, "wise").answer(HELLO) == "yes"


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://localhost", "http://", "http://a:b"])
def test_an_address_that_is_none(url):
    with pytest.raises(SettingsError, match=r"write it as http://localhost:11434"):
        ChatServer(url, "wise")


@pytest.mark.parametrize("fault", [(500, {}), (429, {}), (200, b"<html>"), (200, b"\xff")])
def test_a_server_that_stumbles_is_asked_again(fault):
    said = iter([fault, fault, "at last"])
    with serving(lambda body: next(said)) as served:
        assert ask(served) == "at last"
    assert len(served.bodies) == 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((503, {}), "answers 503 Service Unavailable; try again later"),
        ((200, b"<html>"), "does not answer as an OpenAI-compatible server"),
        ((401, {}), "JUDGE_API_KEY"),
        ((400, {}), "answers 400 Bad Request; see what the server logged"),
        ((307, {}), "answers 307 Temporary Redirect"),
        ((302, {}), "answers 302 Found"),
    ],
)
def test_one_line_when_there_is_no_answer(fault, words):
    with serving(lambda body: fault) as served, pytest.raises(ServerError) as caught:
        ask(served)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(served.bodies) == (3 if fault[0] in (200, 503) else 1)


def test_a_model_that_is_not_there_names_those_that_are():
    with (
        serving(lambda body: "", models=("wise", "owl:7b")) as served,
        pytest.raises(ServerError) as caught,
    ):
        ask(served, "wize")
    assert str(caught.value) == f"{served.url} has no model wize; it has wise, owl:7b."


def test_nobody_is_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServerError, match=r"cannot be reached \(.+\); is the server running"):
        ChatServer(f"http://127.0.0.1:{port}", "wise").answer(HELLO)


def test_a_server_that_is_silent():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        server = ChatServer(f"http://127.0.0.1:{mute.getsockname()[1]}", "wise", timeout=0.05)
        with pytest.raises(ServerError, match=r"did not answer within 0\.05 seconds"):
            server.answer(HELLO)


@pytest.mark.parametrize("reply", [{}, [], {"choices": []}, {"choices": [{"message": None}]}])
def test_an_answer_without_text_is_empty(reply):
    with serving(lambda body: (200, reply)) as served:
        assert ask(served) == ""


def test_the_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("JUDGE_API_KEY", "secret")
    with serving(lambda body: "yes") as served:
        ask(served)
    assert served.headers[0]["Authorization"] == "Bearer secret"


def test_a_local_server_is_never_asked_through_a_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(lambda body: "direct") as served:
        assert ask(served) == "direct"


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.20", True),
        ("10.0.0.1", True),
        ("fd00::1", True),
        ("8.8.8.8", False),
        ("::ffff:8.8.8.8", False),
        ("2606:4700::1111", False),
        ("172.32.0.1", False),
    ],
)
def test_what_counts_as_this_network(host, local):
    assert is_local(host) is local


def test_a_name_counts_only_if_all_its_addresses_are_local(monkeypatch):
    def found(*addresses):
        return lambda host, port: [(0, 0, 0, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found("10.0.0.1", "8.8.8.8"))
    assert not is_local("both")
    monkeypatch.setattr(socket, "getaddrinfo", found("10.0.0.1"))
    assert is_local("nas")

    def unknown(host, port):
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert not is_local("nowhere")
