"""Query images by URL: what is fetched, from where, and all that must not be."""

from __future__ import annotations

import gzip
import itertools
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetag_model.errors import FineTagError, ImageError, UsageError
from retrieval import Catalog
from retrieval.address import is_public
from retrieval.fetch import MAX_BYTES, fetch
from retrieval.gallery import render_gallery
from retrieval.query import Fetched, as_source, fetched
from retrieval.url import read_url, shown_url
from tests.retrieval.internet import PUBLIC, Internet, Server, http, redirect

ALSO_PUBLIC = "151.101.1.1"
URL = "http://pictures.example/wren.jpg"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.fetch.SECONDS", 0.5)


def refused(url: str, kind: type[FineTagError] = ImageError, *, private: bool = False) -> str:
    """Return the reason why a URL is not fetched."""
    with pytest.raises(kind) as caught:
        fetch(url, private=private)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert message.isprintable()
    start, _, reason = message.partition(" cannot be fetched: ")
    assert start == shown_url(url)
    return reason


# What is sent and what comes back


def test_the_bytes_of_the_answer_are_returned(internet: Internet) -> None:
    body = bytes(range(256)) * 1000
    server = internet.serve("pictures.example", PUBLIC, http(body, "Content-Type: text/html"))
    assert fetch("HTTP://Pictures.Example./a%20b c/é?size=1 2&k=%2F#part") == body
    first, *headers = server.requests[0].split("\r\n")
    assert first == "GET /a%20b%20c/%C3%A9?size=1%202&k=%2F HTTP/1.1"
    assert "Host: pictures.example" in headers
    assert "Accept-Encoding: identity" in headers
    assert internet.connected == [(PUBLIC, 80)]


def test_a_port_is_used_and_told_to_the_server(internet: Internet) -> None:
    server = internet.serve("pictures.example", PUBLIC, http(b"here"))
    assert fetch("http://pictures.example:8080?q") == b"here"
    assert "GET /?q HTTP/1.1\r\nHost: pictures.example:8080\r\n" in server.requests[0]
    assert internet.connected == [(PUBLIC, 8080)]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("STRAẞE.example", "xn--strae-oqa.example"),  # as browsers do, not as of 2003
        ("図書館。example", "xn--lcss68aj21b.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("my_bucket.example", "my_bucket.example"),
    ],
)
def test_international_hosts(internet: Internet, host: str, name: str) -> None:
    server = internet.serve(name, PUBLIC, http(b"here"))
    assert fetch(f"http://{host}/") == b"here"
    assert internet.looked_up == [name]
    assert f"\r\nHost: {name}\r\n" in server.requests[0]


def test_literal_addresses(internet: Internet) -> None:
    server = internet.serve("-", "2606:2800:21f:cb07::1", http(b"six"))
    assert fetch("http://[2606:2800:021F:CB07::0001]/") == b"six"
    assert fetch("http://[2606:2800:21f:cb07::1]:8080/") == b"six"
    assert "\r\nHost: [2606:2800:21f:cb07::1]\r\n" in server.requests[0]
    assert "\r\nHost: [2606:2800:21f:cb07::1]:8080\r\n" in server.requests[1]
    internet.serve("-", PUBLIC, http(b"four"))
    assert fetch(f"http://{PUBLIC}/") == b"four"
    assert internet.looked_up == []


def test_proxies_of_the_environment_are_not_used(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    internet.serve("proxy.example", ALSO_PUBLIC, http(b"from the proxy"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    internet.serve("pictures.example", PUBLIC, http(b"from the server"))
    assert fetch(URL) == b"from the server"


# URLs that are none


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://pictures.example/a", "it is not of http or https"),
        ("file:///etc/passwd", "it is not of http or https"),
        ("pictures.example/a", "it is not of http or https"),
        ("http://anna:secret@pictures.example/a", "it holds a name or password"),
        ("http://anna@pictures.example/a", "it holds a name or password"),
        ("http://@pictures.example/a", "it holds a name or password"),
        ("http:///a", "its host or port is not well-formed"),
        ("http:a", "its host or port is not well-formed"),
        ("http://:80/a", "its host or port is not well-formed"),
        ("http://pictures.example:http/", "its host or port is not well-formed"),
        ("http://pictures.example:-80/", "its host or port is not well-formed"),
        ("http://pictures.example:8\N{SUPERSCRIPT ZERO}/", "its host or port is not well-formed"),
        ("http://pictures.example:808080/", "its host or port is not well-formed"),
        ("http://pictures.example:65536/", "port 65536 is not 80, 443 or from 1024"),
        ("http://pictures.example:0/", "port 0 is not"),
        ("http://pictures.example:22/", "port 22 is not"),
        ("http://pictures.example:25/", "port 25 is not"),
        ("http://[::1/", "its host or port is not well-formed"),
        ("http://[12345::1]/", "its host or port is not well-formed"),
        ("http://[fe80::1%25eth0]/", "its host or port is not well-formed"),
        ("http://[v1.a]/", "its host or port is not well-formed"),
        ("http://[2606:2800::1]pictures.example/", "its host or port is not well-formed"),
        ("http://pictures.example[::1]/", "its host or port is not well-formed"),
        ("http://a..example/", "its host is not a name that can exist"),
        ("http://a b.example/", "its host is not a name that can exist"),
        ("http://%31%32%37.0.0.1/", "its host or port is not well-formed"),
        (f"http://{'a' * 64}.example/", "its host is not a name that can exist"),
        (f"http://{'a.' * 127}example/", "its host is not a name that can exist"),
        ("http://-pictures.example/", "its host is not a name that can exist"),
        ("http://bü..example/", "its host is not a name that can exist"),
        ("http://pictures.example\\@127.0.0.1/", "it holds a control character or a backslash"),
        ("http://pictures.example/\r\nHost: other", "it holds a control character"),
        ("http://pictures.example/\0", "it holds a control character"),
        (f"http://pictures.example/{'a' * 9000}", "it is longer than 8,192 characters"),
    ],
)
def test_what_is_no_url_of_an_image_is_a_wrong_question(
    internet: Internet, url: str, reason: str
) -> None:
    assert refused(url, UsageError).startswith(reason)
    assert internet.looked_up == internet.connected == []


def test_a_message_shows_no_secrets_and_moves_no_cursor() -> None:
    url = "http://anna:hunter2@pictures.example/wren.jpg?token=hunter2#hunter2"
    assert shown_url(url) == "http://pictures.example/wren.jpg"
    assert shown_url("http://a.example/\x1b[2J\u202e") == r"http://a.example/\x1b[2J\u202e"
    assert len(shown_url("http://a.example/" + "a" * 9000)) == 201
    with pytest.raises(UsageError) as caught:
        fetch(url)
    assert "hunter2" not in str(caught.value)


@given(
    st.text()
    | st.text("[]:@/%?#.\\a1xü。 \udc41\ude41\udcff")
    | st.text(st.characters(categories=["Cs", "Ll", "Mn", "Nd"]))
)
def test_any_text_is_a_url_or_a_wrong_question(text: str) -> None:
    try:
        url = read_url(f"http://{text}")
    except UsageError:
        pass
    else:
        assert str(url).isascii()
        assert str(url).isprintable()
        assert " " not in str(url)
        assert read_url(f"http://a/?{text}").target.startswith("/")
        assert read_url(str(url)) == url
    assert shown_url(f"http://{text}").isprintable()


# Addresses that are not public


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "017700000001",
        "\uff11\uff12\uff17.0.0.1",  # in digits of full width
        "0.0.0.0",  # noqa: S104
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "192.0.0.192",
        "168.63.129.16",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::127.0.0.1]",
        "[fe80::1]",
        "[fec0::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b:1::8.8.8.8]",
        "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:7f00:1::f7f7:f7f7]",  # Teredo: the server is local
        "[2001:0:808:808::80ff:fffe]",  # Teredo: the client is
    ],
)
def test_addresses_that_are_not_public_are_refused(internet: Internet, host: str) -> None:
    reason = refused(f"http://{host}/latest/meta-data", UsageError)
    assert reason == "its host is not a public address"
    assert internet.connected == []


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"],
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, "::1"]],
)
def test_all_addresses_of_a_name_must_be_public(internet: Internet, addresses: list[str]) -> None:
    server = internet.serve("pictures.example", PUBLIC, http(b"never"))
    internet.names["pictures.example"] = addresses
    message = refused(URL, UsageError)
    assert message == "its host is not a public address"
    assert server.requests == []
    assert internet.connected == []


def test_the_address_that_was_judged_is_the_one_connected_to(internet: Internet) -> None:
    internet.serve("-", PUBLIC, http(b"public"))
    inside = internet.serve("-", "127.0.0.1", http(b"inside"))
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
    internet.names["rebinding.example"] = lambda: next(answers)
    assert fetch("http://rebinding.example/") == b"public"
    assert internet.looked_up == ["rebinding.example"]
    assert inside.requests == []


def test_every_hop_is_judged_again(internet: Internet) -> None:
    internet.serve("-", PUBLIC, redirect("http://rebinding.example/again"))
    inside = internet.serve("-", "127.0.0.1", http(b"inside"))
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    internet.names["rebinding.example"] = lambda: next(answers)
    reason = refused("http://rebinding.example/")
    assert reason == "after a redirect, its host is not a public address"
    assert inside.requests == []


def test_private_addresses_if_asked_for(internet: Internet) -> None:
    internet.serve("nas.local", "192.168.1.7", redirect("http://[::ffff:10.0.0.7]:8000/a"))
    internet.serve("-", "::ffff:10.0.0.7", http(b"mine"))
    assert fetch("http://nas.local/", private=True) == b"mine"
    assert "port 22" in refused("http://nas.local:22/", UsageError, private=True)


def test_the_next_address_is_tried_and_never_a_fifth(internet: Internet) -> None:
    internet.serve("pictures.example", PUBLIC, http(b"here"))
    internet.names["pictures.example"] = ["2606:4700::1", PUBLIC]
    assert fetch(URL) == b"here"
    internet.names["pictures.example"] = [f"2606:4700::{i}" for i in range(1, 9)]
    internet.connected.clear()
    assert refused(URL) == "the server cannot be reached"
    assert [address for address, _ in internet.connected] == [
        f"2606:4700::{i}" for i in range(1, 5)
    ]


def test_a_real_connection_to_this_machine() -> None:
    server = Server(http(b"mine"))
    port = server.place[1]
    for host in ("127.0.0.1", "localhost"):
        assert fetch(f"http://{host}:{port}/", private=True) == b"mine"
        assert "not a public address" in refused(f"http://{host}:{port}/", UsageError)
    server.close()
    assert len(server.requests) == 2
    assert refused(f"http://127.0.0.1:{port}/", private=True) == "the server cannot be reached"


def test_an_unknown_host(internet: Internet) -> None:
    assert refused(URL) == "its host is not known"
    assert internet.connected == []


# Redirects


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 T", "308 P"])
def test_redirects_are_followed(internet: Internet, status: str) -> None:
    internet.serve("pictures.example", PUBLIC, redirect("//other.example/a b?c#d", status))
    other = internet.serve("other.example", ALSO_PUBLIC, http(b"there"))
    assert fetch(URL) == b"there"
    assert other.requests[0].startswith("GET /a%20b?c HTTP/1.1\r\nHost: other.example\r\n")
    assert internet.looked_up == ["pictures.example", "other.example"]


def counting(limit: int) -> Callable[[socket.socket], None]:
    """Redirect so many times, with relative references, and then answer."""
    count = itertools.count(1)

    def answer(connection: socket.socket) -> None:
        number = next(count)
        connection.sendall(redirect(f"../to/{number}") if number <= limit else http(b"at last"))

    return answer


def test_five_redirects_are_enough(internet: Internet) -> None:
    server = internet.serve("pictures.example", PUBLIC, counting(5))
    assert fetch(URL) == b"at last"
    assert server.requests[-1].startswith("GET /to/5 ")


def test_six_redirects_are_too_many(internet: Internet) -> None:
    server = internet.serve("pictures.example", PUBLIC, counting(6))
    assert refused(URL) == "it redirects more than 5 times"
    assert len(server.requests) == 6


def test_a_redirect_in_a_circle_ends(internet: Internet) -> None:
    internet.serve("pictures.example", PUBLIC, redirect(URL))
    assert refused(URL) == "it redirects more than 5 times"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data", "its host is not a public address"),
        ("http://localhost/", "its host is not a public address"),
        ("http://0x7f.1/", "its host is not a public address"),
        ("//[::ffff:10.0.0.1]/", "its host is not a public address"),
        ("file:///etc/passwd", "it is not of http or https"),
        ("gopher://pictures.example/", "it is not of http or https"),
        ("http://anna:secret@pictures.example/", "it holds a name or password"),
        ("http://pictures.example:6/", "port 6 is not"),
        ("http://nowhere.example/", "its host is not known"),
    ],
)
def test_a_redirect_leads_nowhere_that_a_url_must_not(
    internet: Internet, place: str, reason: str
) -> None:
    internet.serve("pictures.example", PUBLIC, redirect(place))
    internet.names["localhost"] = ["127.0.0.1", "::1"]
    message = refused(URL)
    assert message.startswith(f"after a redirect, {reason}")
    assert "169.254" not in message
    assert internet.connected == [(PUBLIC, 80)]


def test_a_malformed_redirect(internet: Internet) -> None:
    internet.serve("pictures.example", PUBLIC, redirect("http://[oops/"))
    assert refused(URL) == "it redirects to what is no well-formed URL"


def test_a_redirect_to_nowhere_is_only_a_status(internet: Internet) -> None:
    internet.serve("pictures.example", PUBLIC, http(status="302 Found"))
    assert refused(URL) == "the server answered 302 Found"


# Answers that are bad


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("404 \x1b[2J", "404 Not Found"),
        ("500 What \xa0a mess", "500 Internal Server Error"),
        ("206 Partial", "206 Partial Content"),
        ("204 None", "204 No Content"),
        ("799 Odd", "799"),
    ],
)
def test_the_status_is_told(internet: Internet, status: str, shown: str) -> None:
    internet.serve("pictures.example", PUBLIC, http(status=status))
    assert refused(URL) == f"the server answered {shown}"


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "identity, gzip", "zstd"])
def test_what_is_compressed_is_refused_unread(internet: Internet, coding: str) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    internet.serve("pictures.example", PUBLIC, http(bomb, f"Content-Encoding: {coding}"))
    assert refused(URL) == "the server sent it compressed, though asked not to"


def test_a_transfer_that_is_compressed_is_refused(internet: Internet) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    internet.serve("pictures.example", PUBLIC, answer)
    assert refused(URL) == "the answer is incomplete or not HTTP"


def test_a_gzip_file_is_not_unpacked(internet: Internet) -> None:
    packed = gzip.compress(bytes(1_000_000))
    internet.serve("pictures.example", PUBLIC, http(packed, "Content-Encoding: identity"))
    assert fetch(URL) == packed


def test_what_says_it_is_too_large_is_not_read(internet: Internet) -> None:
    internet.serve("pictures.example", PUBLIC, http(b"", length=MAX_BYTES + 1))
    assert refused(URL) == "it is larger than 20 MiB"


def test_what_is_just_not_too_large(internet: Internet) -> None:
    internet.serve("pictures.example", PUBLIC, http(bytes(MAX_BYTES)))
    assert len(fetch(URL)) == MAX_BYTES


def endless(start: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    """Send for ever, until the client hangs up."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        endless(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65536)),
        endless(b"HTTP/1.0 200 OK\r\nContent-Type: image/png\r\n\r\n", bytes(65536)),
        endless(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"10000\r\n" + bytes(65536) + b"\r\n",
        ),
        endless(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"10000\r\n" + bytes(65536) + b"\r\n",
        ),
    ],
)
def test_an_endless_body_ends(
    internet: Internet, answer: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.fetch.MAX_BYTES", 2**20)
    internet.serve("pictures.example", PUBLIC, answer)
    assert refused(URL) == "it is larger than 1 MiB"


@pytest.mark.parametrize(
    "answer",
    [
        http(b"short", length=6),
        http(b"odd", length=-1),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"",
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Header: of many\r\n"),
        endless(b"HTTP/1.1 200 OK\r\nX-Header: ", b"long" * 100),
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    ],
)
def test_a_broken_answer(
    internet: Internet, answer: bytes | Callable[[socket.socket], None]
) -> None:
    internet.serve("pictures.example", PUBLIC, answer)
    assert refused(URL) == "the answer is incomplete or not HTTP"


def test_what_follows_the_announced_length_is_not_taken(internet: Internet) -> None:
    internet.serve("pictures.example", PUBLIC, http(b"image and more", length=5))
    assert fetch(URL) == b"image"


# Time


def trickling(start: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    """Send a little now and then, faster than any single wait would notice."""
    pause = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece)
            pause.wait(0.02)

    return answer


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "answer",
    [
        lambda connection: connection.recv(1),  # says nothing
        trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"a"),
        trickling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        trickling(b"HTTP/1.1 200 OK\r\nX-Header: ", b"a"),
        trickling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_slow_servers(internet: Internet, answer: Callable[[socket.socket], None]) -> None:
    internet.serve("pictures.example", PUBLIC, answer)
    assert refused(URL) == "it took longer than 0.5 s"


@pytest.mark.usefixtures("hasty")
def test_the_time_is_that_of_all_redirects(internet: Internet) -> None:
    pause = threading.Event()

    def answer(connection: socket.socket) -> None:
        pause.wait(0.2)
        connection.sendall(redirect("/"))

    internet.serve("pictures.example", PUBLIC, answer)
    assert refused(URL) == "after a redirect, it took longer than 0.5 s"


@pytest.mark.usefixtures("hasty")
def test_a_slow_resolver(internet: Internet) -> None:
    over = threading.Event()

    def slow() -> list[str]:
        over.wait(30)
        return [PUBLIC]

    internet.names["pictures.example"] = slow
    assert refused(URL) == "it took longer than 0.5 s"
    over.set()


@pytest.mark.usefixtures("hasty")
def test_a_tls_handshake_that_trickles(internet: Internet) -> None:
    internet.servers[PUBLIC] = server = Server(b"")
    internet.names["pictures.example"] = [PUBLIC]
    # No request comes before the handshake: the greeting alone starts a record that never ends.
    trickle = trickling(b"\x16\x03\x03\x40\x00", b"\x02")
    server._reply = trickle
    assert refused(URL.replace("http", "https")) == "it took longer than 0.5 s"


# TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return key and certificate of pictures.example, which only a test trusts."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed, so there is no certificate to test with")
    path = tmp_path_factory.mktemp("tls") / "pictures.pem"
    command = [
        *(program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-nodes", "-days", "2", "-subj", "/CN=pictures.example", "-keyout", "-"),
        *("-addext", f"subjectAltName=DNS:pictures.example,IP:{ALSO_PUBLIC}"),
        *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
    ]
    path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return path


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.fixture
def greeted() -> list[str | None]:
    """Hold the names that clients asked TLS for."""
    return []


@pytest.fixture
def tls(certificate: Path, greeted: list[str | None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: greeted.append(name)
    return context


@pytest.mark.usefixtures("trusted")
def test_tls_is_with_the_name_and_the_connection_with_the_address(
    internet: Internet, tls: ssl.SSLContext, greeted: list[str | None]
) -> None:
    server = internet.serve("pictures.example", PUBLIC, http(b"secret"), tls)
    assert fetch("https://pictures.example/wren.jpg") == b"secret"
    assert greeted == ["pictures.example"]
    assert "\r\nHost: pictures.example\r\n" in server.requests[0]
    assert internet.connected == [(PUBLIC, 443)]


@pytest.mark.usefixtures("trusted")
def test_tls_with_an_address(internet: Internet, tls: ssl.SSLContext) -> None:
    internet.serve("-", ALSO_PUBLIC, http(b"secret"), tls)
    assert fetch(f"https://{ALSO_PUBLIC}/") == b"secret"
    internet.serve("-", PUBLIC, http(b"secret"), tls)
    assert refused(f"https://{PUBLIC}/").startswith("TLS failed (IP address mismatch")


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_name_is_refused(internet: Internet, tls: ssl.SSLContext) -> None:
    server = internet.serve("other.example", PUBLIC, http(b"secret"), tls)
    reason = refused("https://other.example/?token=1")
    assert reason.startswith("TLS failed (Hostname mismatch")
    assert server.requests == []


def test_a_certificate_of_nobody_is_refused(internet: Internet, tls: ssl.SSLContext) -> None:
    internet.serve("pictures.example", PUBLIC, http(b"secret"), tls)
    for private in (False, True):
        reason = refused("https://pictures.example/", private=private)
        assert reason == "TLS failed (self-signed certificate)"


def test_a_server_without_tls(internet: Internet) -> None:
    internet.serve("pictures.example", PUBLIC, http(b"open"))
    internet.servers[PUBLIC]._reply = lambda connection: connection.sendall(http(b"open"))
    assert refused("https://pictures.example/").startswith("TLS failed (")


@pytest.mark.usefixtures("trusted")
def test_no_redirect_from_https_to_http(internet: Internet, tls: ssl.SSLContext) -> None:
    internet.serve("pictures.example", PUBLIC, redirect("http://other.example/"), tls)
    internet.serve("other.example", ALSO_PUBLIC, http(b"open"))
    for private in (False, True):
        reason = refused("https://pictures.example/", private=private)
        assert reason == "after a redirect, it leads from https to http"
    assert internet.looked_up == ["pictures.example"] * 2


@pytest.mark.usefixtures("trusted")
def test_a_redirect_from_http_to_https(internet: Internet, tls: ssl.SSLContext) -> None:
    internet.serve("pictures.example", PUBLIC, http(b"secret"), tls)
    internet.serve("old.example", ALSO_PUBLIC, redirect("https://pictures.example/"))
    assert fetch("http://old.example/") == b"secret"


# As a query


def test_a_search_by_url_is_the_search_by_file(
    internet: Internet, catalog: Catalog, root: Path
) -> None:
    path = root / "red" / "red_blue.png"
    server = internet.serve("pictures.example", PUBLIC, http(path.read_bytes()))
    by_url = catalog.search(URL, limit=3)
    assert by_url.hits == catalog.search(path, limit=3).hits
    assert len(server.requests) == 1


def test_a_search_by_what_is_no_image(internet: Internet, catalog: Catalog) -> None:
    internet.serve("pictures.example", PUBLIC, http(b"<html>"))
    with pytest.raises(ImageError, match="not an image in a known format"):
        catalog.search(URL)


def test_what_was_fetched_once_is_searched_with_and_shown(
    internet: Internet, catalog: Catalog, root: Path
) -> None:
    data = (root / "red" / "red_blue.png").read_bytes()
    server = internet.serve("pictures.example", PUBLIC, http(data))
    query = fetched(f"{URL}?token=hunter2")
    assert query == Fetched(URL, data)
    assert as_source(query) == data
    page = render_gallery(catalog.search(query, limit=1), query)
    assert "wren.jpg" in page
    assert "hunter2" not in page
    assert len(server.requests) == 1


def test_a_page_goes_without_a_picture_that_is_gone(
    internet: Internet, catalog: Catalog, root: Path
) -> None:
    data = (root / "red" / "red_blue.png").read_bytes()
    internet.serve("pictures.example", PUBLIC, http(data))
    answer = catalog.search(URL, limit=1)
    internet.names["pictures.example"] = ["127.0.0.1"]
    assert "like" in render_gallery(answer, URL)


def test_paths_stay_paths(tmp_path: Path) -> None:
    assert as_source("https.png") == Path("https.png")
    assert as_source("http:/a") == Path("http:/a")
    assert as_source(str(tmp_path)) == tmp_path


def test_http_is_imported_for_a_url_alone() -> None:
    code = (
        "import sys, retrieval, retrieval.cli, retrieval.query, retrieval.gallery; "
        "print(sorted({'httpcore', 'h11', 'idna', 'certifi'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
