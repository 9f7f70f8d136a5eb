"""Requests that are no requests, that can be read in two ways, that are too large or too slow: told why, and ended."""

import json
import re
import socket
import struct
import threading
from typing import Any

import pytest

from tests.support.daemon import (
    CANARY,
    STRUCTURED,
    Site,
    case,
    check_problem,
    problem_of,
    read_to_the_end,
)

HOST = b"Host: tidegate\r\n"
POST = b"POST /v1/messages HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST
MALFORMED = [
    ("B37", POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"),
    ("B37", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
    ("B37", POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
    ("B37", POST + b"Content-Length: -3\r\n\r\nabc"),
    ("B37", POST + b"Content-Length: 3, 3\r\n\r\nabc"),
    ("B37", POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"),
    ("B37", POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
    ("B37", POST + b"Transfer-Encoding: gzip, identity\r\n\r\nabc"),
    ("B38", b"GET /healthz HTTP/1.1\r\n\r\n"),
    ("B38", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("B38", b"GET http://other/healthz HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("B39", GET + b"A: b\0c\r\n\r\n"),
    ("B39", GET + b"A: b\r\n folded\r\n\r\n"),
    ("B39", GET + b"A b: c\r\n\r\n"),
    ("B40", b"GET /v1/outcomes?limit=%zz HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("B40", b"GET /v1/processes/a%00b HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("B40", b"GET //v1/outcomes HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("B40", b"GET /v1/../healthz HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("B40", b"GET /v1/processes/\xff HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("", b"GARBAGE\r\n\r\n"),
    ("", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),  # somebody speaks TLS
]
TOO_LARGE = [
    ("B39", GET + b"A: " + b"b" * 17_000 + b"\r\n\r\n", 431, "headers.too_large"),
    ("B39", GET + b"A: b\r\n" * 500 + b"\r\n", 431, "headers.too_large"),
    ("B39", GET + b"A: " + b"b" * 2_000_000, 431, "headers.too_large"),
    ("B40", b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "path.too_long"),
]
METHODS = [
    ("PUT", "/v1/messages", {"OPTIONS", "POST"}),
    ("GET", "/v1/messages", {"OPTIONS", "POST"}),
    ("DELETE", "/v1/outcomes", {"GET", "OPTIONS"}),
    ("TRACE", "/healthz", {"GET", "OPTIONS"}),
    ("POST", "/openapi.json", {"GET", "OPTIONS"}),
]


def split(answer: bytes) -> tuple[int, bytes, bytes]:
    """Status, head and body of the first response."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), head.lower(), body


def refusal(answer: bytes) -> dict[str, Any]:
    status, head, body = split(answer)
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    document: dict[str, Any] = json.loads(body)
    check_problem(document, status)
    return document


@pytest.mark.parametrize(("row", "request_bytes"), MALFORMED)
def test_what_can_be_read_in_two_ways_is_refused_and_closed(shared_site: Site, row: str, request_bytes: bytes) -> None:
    problem = refusal(shared_site.raw(request_bytes))
    assert (problem["status"], problem["code"]) == (400, "request.malformed")


@pytest.mark.parametrize(("row", "request_bytes", "status", "code"), TOO_LARGE)
def test_a_head_over_its_limit_is_refused_and_closed(
    shared_site: Site, row: str, request_bytes: bytes, status: int, code: str
) -> None:
    problem = refusal(shared_site.raw(request_bytes))
    assert (problem["status"], problem["code"]) == (status, code)


@pytest.mark.parametrize(("method", "path", "allowed"), METHODS)
def test_a_wrong_method_is_answered_with_those_that_are_allowed(
    shared_site: Site, method: str, path: str, allowed: set[str]
) -> None:
    with shared_site.http() as http:
        answer = http.request(method, path, headers={"X-HTTP-Method-Override": "GET"})
    assert (answer.status_code, problem_of(answer)["code"]) == (405, "method.not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed


def test_connect_is_refused(shared_site: Site) -> None:
    status, head, _ = split(shared_site.raw(b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n"))
    assert status == 405
    assert b"allow: " in head


@pytest.mark.parametrize("path", ["/", "/v2/messages", "/v1/messages/", "/%2576", "/v1/outcomes/..%2f"])
def test_a_path_that_is_not_there_is_not_found(shared_site: Site, path: str) -> None:
    answer = shared_site.get(path)
    assert (answer.status_code, problem_of(answer)["code"]) == (404, "path.not_found")


@pytest.mark.parametrize("key", ["a%2F..%2Fb", "%252e%252e", "x" * 256, "nobody"])
def test_a_key_that_nobody_has_is_not_found_whatever_it_looks_like(shared_site: Site, key: str) -> None:
    answer = shared_site.get(f"/v1/processes/{key}")
    assert (answer.status_code, problem_of(answer)["code"]) == (404, "message.not_found")


@pytest.mark.parametrize("key", ["x" * 257, "a%0Ab", "a%1Bb", "%C2%9B"])
def test_a_key_that_nobody_can_have_is_refused(shared_site: Site, key: str) -> None:
    answer = shared_site.get(f"/v1/messages/{key}")
    assert (answer.status_code, problem_of(answer)["code"]) == (422, "id.format")


def test_head_is_get_without_a_body(shared_site: Site) -> None:
    status, head, body = split(shared_site.raw(b"HEAD /readyz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"))
    assert (status, body) == (200, b"")
    assert b"content-length: " in head


def test_who_a_client_says_it_is_changes_nothing(shared_site: Site) -> None:
    forged = {"X_Forwarded_For": "10.0.0.1", "X_User_Id": "root", "X_Tenant": "other", "Forwarded": "for=10.0.0.1"}
    assert shared_site.post(case("forged"), **forged).status_code == 202
    assert "10.0.0.1" not in shared_site.log()


def test_an_answer_is_json_whatever_is_accepted(shared_site: Site) -> None:
    answer = shared_site.post(case("accept"), Accept="text/html")
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/json")


def test_a_body_is_asked_for_only_when_it_will_be_read(shared_site: Site) -> None:
    body = json.dumps(case("continue")).encode()
    head = POST + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: "
    answer = shared_site.raw(head + str(len(body)).encode() + b"\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ")
    with socket.create_connection(shared_site.address, timeout=20) as connection:
        connection.sendall(head + b"9999999\r\n\r\n")
        status, _, _ = split(read_to_the_end(connection))
    assert status == 413


def test_requests_in_a_row_are_answered_in_their_order(shared_site: Site) -> None:
    body = json.dumps(case("row")).encode()
    post = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answer = shared_site.raw(post + GET + b"\r\n" + GET + b"Connection: close\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"202", b"200", b"200"]


def test_nonsense_behind_a_request_does_not_take_its_answer(shared_site: Site) -> None:
    body = json.dumps(case("behind")).encode()
    answer = shared_site.raw(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body + b"\0\0\0 NONSENSE")
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_an_offer_to_upgrade_is_ignored_and_the_message_taken(shared_site: Site) -> None:
    body = json.dumps(case("upgrade")).encode()
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n"
    post = POST + offer + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answer = shared_site.raw(post + GET + offer + b"\r\n" + GET + b"Connection: close\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"202", b"200", b"200"]


def test_a_header_that_decides_how_the_body_is_read_stands_there_once(shared_site: Site) -> None:
    body = json.dumps(case("twice")).encode()
    twice = b"Content-Type: application/cloudevents-batch+json\r\nConnection: close\r\n"
    answer = shared_site.raw(POST + twice + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert split(answer)[0] == 400
    assert json.loads(split(answer)[2])["code"] == "request.malformed"


def test_a_sender_that_hangs_up_leaves_no_trace_but_its_line(shared_site: Site) -> None:
    for cut in (b"", b"GET", POST, POST + b"Content-Length: 900\r\n\r\n{"):
        with socket.create_connection(shared_site.address, timeout=20) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
            connection.sendall(cut)
    assert shared_site.get("/readyz").status_code == 200
    assert "Traceback" not in shared_site.log()


def drip(connection: socket.socket, stop: threading.Event) -> None:
    """One byte every fifth of a second, for as long as somebody takes it."""
    while not stop.wait(0.2):
        try:
            connection.sendall(b"a")
        except OSError:
            return


def test_a_slow_head_and_a_slow_body_end_at_a_deadline(shared_site: Site) -> None:
    starts = [
        b"GET /heal",
        GET + b"A: ",
        POST + b"Content-Length: 100000\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n100000\r\n{",
    ]
    stop = threading.Event()
    connections = [socket.create_connection(shared_site.address, timeout=30) for _ in starts]
    dripping = [threading.Thread(target=drip, args=(connection, stop)) for connection in connections]
    silent = socket.create_connection(shared_site.address, timeout=30)
    for connection, start, thread in zip(connections, starts, dripping, strict=True):
        connection.sendall(start)
        thread.start()
    answers = [read_to_the_end(connection) for connection in connections]
    stop.set()
    for thread in dripping:
        thread.join()
    for answer in answers:
        problem = refusal(answer)
        assert (problem["status"], problem["code"]) == (408, "request.time_out")
    assert read_to_the_end(silent) == b""
    for connection in (*connections, silent):
        connection.close()


def test_a_credential_in_the_path_or_query_reaches_no_log(shared_site: Site) -> None:
    for path in (f"/v1/ops/status?token={CANARY}", f"/v1/{CANARY}", f"/v1/outcomes?{CANARY}=1"):
        assert shared_site.get(path).status_code in (401, 404, 422)
    assert shared_site.post(b"{}", STRUCTURED, Idempotency_Key=CANARY).status_code == 422
    assert CANARY not in shared_site.log()
