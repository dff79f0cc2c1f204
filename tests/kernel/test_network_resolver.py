"""The resolver, asked for real from a container's namespace; and the userland proxy."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import dnslib
import pytest
from anyio.to_thread import run_sync
from support.netlab import Lab, Place

from orchestra.engine.network import dns, proxy
from orchestra.engine.network.dns import Resolver
from orchestra.engine.shim.network import open_dns_sockets
from orchestra.engine.state.records import Wanted
from orchestra.planner.desired import NetworkSpec

pytestmark = pytest.mark.kernel
UPSTREAM = "127.0.0.153"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give servers more time than they get: a busy machine's answers in good time are late."""
    monkeypatch.setattr(dns, "_SERVER_TIMEOUT_SECONDS", 60.0)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path).entered() as lab:
        yield lab


class Asked:
    """A container that asks, and the resolver that answers it, while a test's question runs."""

    def __init__(self, lab: Lab, place: Place) -> None:
        self._lab = lab
        self.place = place
        with place.entered():
            self._fds = open_dns_sockets(redirect=True)
        for fd in self._fds:
            lab.keep(fd)

    def during(self, question: Callable[[], object], servers: tuple[str, ...] = ()) -> object:
        record = self.place.record
        assert record is not None
        udp, tcp = (socket.socket(fileno=socket.dup(fd)) for fd in self._fds)
        resolver = Resolver(partial(self._lab.networks.names, "shop"), lambda: servers)

        async def run() -> object:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(resolver.serve, record.id, udp, tcp)
                answer = await run_sync(question)
                tasks.cancel_scope.cancel()
            return answer

        return anyio.run(run)

    def client(self, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
        with self.place.entered():
            sock = socket.socket(socket.AF_INET, kind)
        sock.settimeout(30)
        sock.connect(("127.0.0.11", 53))
        return sock


def ask(sock: socket.socket, name: str, kind: str = "A") -> dnslib.DNSRecord:
    sock.send(dnslib.DNSRecord.question(name, kind).pack())
    return dnslib.DNSRecord.parse(sock.recv(65535))


def addresses(reply: dnslib.DNSRecord) -> list[str]:
    return [str(record.rdata) for record in reply.rr]


@pytest.fixture
def shop(lab: Lab) -> tuple[Asked, Place]:
    network = anyio.run(
        lab.networks.create, NetworkSpec(key="default", name="shop_default"), "shop"
    )
    web, db = lab.container("shop", "web", network), lab.container("shop", "db", network)
    return Asked(lab, web), db


def test_busybox_finds_a_service(shop: tuple[Asked, Place]):
    asked, db = shop

    def nslookup() -> str:
        argv = ["nsenter", f"--net=/proc/self/fd/{asked.place.fd}"]
        argv += ["busybox", "nslookup", "db", "127.0.0.11"]
        fds = (asked.place.fd,)
        return subprocess.run(
            argv, capture_output=True, text=True, pass_fds=fds, check=False
        ).stdout

    assert db.address in str(asked.during(nslookup))


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "count"),
    [
        pytest.param("db", "A", "NOERROR", 1, id="service"),
        pytest.param("SHOP-DB-1", "A", "NOERROR", 1, id="container"),
        pytest.param("db", "AAAA", "NOERROR", 0, id="no-ipv6-is-no-unknown-name"),
        pytest.param("db", "MX", "NOERROR", 0, id="another-type"),
        pytest.param("3.0.18.172.in-addr.arpa", "PTR", "NOERROR", 1, id="reverse"),
        pytest.param("nobody", "A", "SERVFAIL", 0, id="no-server-to-ask"),
    ],
)
def test_answers(shop: tuple[Asked, Place], name: str, kind: str, rcode: str, count: int):
    asked, _ = shop
    with asked.client() as sock:
        reply = asked.during(partial(ask, sock, name, kind))
    assert (dnslib.RCODE[reply.header.rcode], len(reply.rr)) == (rcode, count)


def test_replicas_take_turns_and_the_dead_are_left_out(lab: Lab, shop: tuple[Asked, Place]):
    asked, db = shop
    network = lab.store.network("shop_default")
    second = lab.container("shop", "db", network, name="shop-db-2", number=2)
    with asked.client() as sock:
        replies = asked.during(lambda: [addresses(ask(sock, "db")) for _ in range(3)])
        both = [db.address, second.address]
        assert replies == [both, both[::-1], both]
        assert db.record is not None
        lab.store.write_container(replace(db.record, wanted=Wanted.STOPPED))
        assert asked.during(lambda: addresses(ask(sock, "db"))) == [second.address]


def test_a_container_that_starts_is_known_at_once(lab: Lab, shop: tuple[Asked, Place]):
    asked, _ = shop
    network = lab.store.network("shop_default")

    def question() -> list[list[str]]:
        with asked.client() as sock:
            before = addresses(ask(sock, "late"))
            late = lab.container("shop", "late", network)
            return [before, addresses(ask(sock, "late")), [late.address]]

    before, after, expected = asked.during(question)
    assert (before, after) == ([], expected)


def test_tcp_carries_what_udp_cuts(lab: Lab, shop: tuple[Asked, Place]):
    asked, _ = shop
    network = lab.store.network("shop_default")
    for number in range(2, 42):
        lab.container("shop", "many", network, name=f"shop-many-{number}", number=number)
    with asked.client() as udp, asked.client(socket.SOCK_STREAM) as tcp:

        def question() -> tuple[dnslib.DNSRecord, list[dnslib.DNSRecord]]:
            cut = ask(udp, "many")
            packed = dnslib.DNSRecord.question("many").pack()
            tcp.sendall(2 * (len(packed).to_bytes(2, "big") + packed))
            stream = tcp.makefile("rb")
            sizes = (int.from_bytes(stream.read(2), "big") for _ in range(2))
            return cut, [dnslib.DNSRecord.parse(stream.read(size)) for size in sizes]

        cut, whole = asked.during(question)
    assert cut.header.get_tc() == 1
    assert [len(reply.rr) for reply in whole] == [40, 40]


class Upstream:
    """A server on the fake host that answers, lies first, or says nothing."""

    def __init__(self, lab: Lab, address: str) -> None:
        with lab.host.entered():
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, 53))
        self.sock.settimeout(30)

    def answer_one(self) -> str:
        message, peer = self.sock.recvfrom(2000)
        query = dnslib.DNSRecord.parse(message)
        lie = query.reply()
        lie.header.id ^= 1
        lie.add_answer(dnslib.RR(query.q.qname, rdata=dnslib.A("6.6.6.6")))
        self.sock.sendto(lie.pack(), peer)
        truth = query.reply()
        truth.add_answer(dnslib.RR(query.q.qname, rdata=dnslib.A("192.0.2.80")))
        self.sock.sendto(truth.pack(), peer)
        return str(query.q.qname)


def test_other_names_are_asked_elsewhere_and_forgeries_dropped(lab: Lab, shop: tuple[Asked, Place]):
    asked, _ = shop
    upstream = Upstream(lab, UPSTREAM)

    def question() -> list[str]:
        with asked.client() as sock:
            sock.send(dnslib.DNSRecord.question("example.com").pack())
            upstream.answer_one()
            return addresses(dnslib.DNSRecord.parse(sock.recv(2000)))

    with upstream.sock:
        assert asked.during(question, (UPSTREAM,)) == ["192.0.2.80"]


def test_a_dead_server_delays_nobody_else(lab: Lab, shop: tuple[Asked, Place]):
    asked, db = shop
    silent = Upstream(lab, UPSTREAM)

    def question() -> list[str]:
        with asked.client() as sock:
            for _ in range(20):
                sock.send(dnslib.DNSRecord.question("slow.example").pack())
            silent.sock.recvfrom(2000)
            return addresses(ask(sock, "db"))

    with silent.sock:
        assert asked.during(question, (UPSTREAM,)) == [db.address]


def test_internal_networks_ask_nobody_outside(lab: Lab):
    inner = anyio.run(
        lab.networks.create, NetworkSpec(key="in", name="shop_in", internal=True), "shop"
    )
    asked = Asked(lab, lab.container("shop", "web", inner))
    upstream = Upstream(lab, UPSTREAM)
    with asked.client() as sock, upstream.sock:
        reply = asked.during(partial(ask, sock, "secret.example.com"), (UPSTREAM,))
        assert dnslib.RCODE[reply.header.rcode] == "NXDOMAIN"
        upstream.sock.settimeout(0)
        with pytest.raises(BlockingIOError):
            upstream.sock.recv(2000)


def test_noise_does_not_stop_it(shop: tuple[Asked, Place]):
    asked, db = shop

    def question() -> list[str]:
        with asked.client() as sock, asked.client(socket.SOCK_STREAM) as tcp:
            for noise in (b"", b"\0", b"\xff" * 40, b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c"):
                sock.send(noise)
            tcp.sendall(b"\0\0\xff\xff")
            number = 4711
            query = dnslib.DNSRecord(dnslib.DNSHeader(id=number), q=dnslib.DNSQuestion("db"))
            sock.send(query.pack())
            while True:
                reply = dnslib.DNSRecord.parse(sock.recv(2000))
                if reply.header.id == number:
                    return addresses(reply)

    assert asked.during(question) == [db.address]


def test_the_proxy_passes_both_ways_and_keeps_half_closed_connections(lab: Lab):
    server = lab.listen(lab.host, 7001, "127.0.0.1")
    front = lab.listen(lab.host, 7000, "127.0.0.1")

    def talk() -> bytes:
        with socket.create_connection(("127.0.0.1", 7000), 30) as client:
            inner, _ = server.accept()
            with inner:
                client.sendall(b"x" * 1_000_000)
                client.shutdown(socket.SHUT_WR)
                received = b""
                while piece := inner.recv(65536):
                    received += piece
                inner.sendall(str(len(received)).encode())
            return client.recv(100)

    async def run() -> bytes:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(proxy.serve, "tcp", front, ("127.0.0.1", 7001))
            answer = await run_sync(talk)
            tasks.cancel_scope.cancel()
        return answer

    server.settimeout(30)
    assert anyio.run(run) == b"1000000"


def test_the_proxy_of_udp_answers_each_client(lab: Lab):
    server, front = lab.datagrams(lab.host, 7003), lab.datagrams(lab.host, 7002)
    one, two = lab.datagrams(lab.host), lab.datagrams(lab.host)

    def talk() -> list[bytes]:
        for client, word in ((one, b"one"), (two, b"two")):
            client.sendto(word, ("127.0.0.1", 7002))
            data, peer = server.recvfrom(100)
            server.sendto(data + b"!", peer)
        return [one.recv(100), two.recv(100)]

    async def run() -> list[bytes]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(proxy.serve, "udp", front, ("127.0.0.1", 7003))
            answer = await run_sync(talk)
            tasks.cancel_scope.cancel()
        return answer

    assert anyio.run(run) == [b"one!", b"two!"]
