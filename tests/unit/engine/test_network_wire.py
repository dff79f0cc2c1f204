"""The DNS codec against dnslib, and against noise."""

from __future__ import annotations

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.engine.network import wire

LABELS = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=20),
    min_size=1,
    max_size=6,
)


@given(LABELS, st.sampled_from(["A", "AAAA", "PTR", "MX"]), st.integers(0, 65535), st.booleans())
def test_a_query_reads_as_it_was_written(labels: list[str], kind: str, number: int, edns: bool):
    question = dnslib.DNSRecord.question(".".join(labels), kind)
    question.header.id = number
    if edns:
        question.add_ar(dnslib.EDNS0(udp_len=4096))
    query = wire.read_query(question.pack())
    assert (query.number, query.name) == (number, ".".join(labels).lower())
    assert query.kind == getattr(dnslib.QTYPE, kind)
    assert query.size == (wire.UDP_BYTES_MAX if edns else wire.UDP_BYTES)


@given(st.lists(st.ip_addresses(v=4), max_size=20).map(lambda found: list(map(str, found))))
def test_an_answer_reads_back_or_is_marked_as_cut(addresses: list[str]):
    query = wire.read_query(dnslib.DNSRecord.question("db", "A").pack())
    data = [wire.address_data(address) for address in addresses]
    reply = dnslib.DNSRecord.parse(wire.write_answer(query, data, ttl=5, limit=wire.UDP_BYTES))
    assert [str(record.rdata) for record in reply.rr] == addresses
    assert reply.header.get_tc() == 0


def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp():
    query = wire.read_query(dnslib.DNSRecord.question("db", "A").pack())
    data = [wire.address_data(f"10.0.{n}.1") for n in range(100)]
    cut = dnslib.DNSRecord.parse(wire.write_answer(query, data, ttl=5, limit=query.size))
    assert (cut.header.get_tc(), len(cut.rr)) == (1, 0)
    whole = wire.write_answer(query, data, ttl=5, limit=wire.MESSAGE_BYTES_MAX)
    assert len(dnslib.DNSRecord.parse(whole).rr) == 100


def test_a_name_as_data():
    query = wire.read_query(dnslib.DNSRecord.question("2.0.18.172.in-addr.arpa", "PTR").pack())
    data = [wire.name_data("shop-db-1.shop_default")]
    reply = dnslib.DNSRecord.parse(wire.write_answer(query, data, ttl=5, limit=512))
    assert str(reply.rr[0].rdata) == "shop-db-1.shop_default."


@given(st.binary(max_size=80))
def test_noise_is_refused_and_nothing_worse(noise: bytes):
    number = int.from_bytes(noise[:2], "big")
    try:
        number = wire.read_query(noise).number
    except wire.WireError as err:
        if err.number is None:
            return
        number = err.number
    assert wire.write_error(number, wire.Rcode.FORMAT)[:2] == noise[:2]


@given(st.data())
def test_a_damaged_query_is_read_or_refused(data: st.DataObject):
    packed = bytearray(dnslib.DNSRecord.question("web.shop_default", "A").pack())
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        query = wire.read_query(bytes(packed[: data.draw(st.integers(0, len(packed)))]))
    except wire.WireError:
        return
    assert wire.write_answer(query, [], ttl=0, limit=512)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param(lambda r: r, True, id="the-reply"),
        pytest.param(lambda r: wire.renumber(r, 8), False, id="another-id"),
        pytest.param(lambda r: r[:2] + b"\1" + r[3:], False, id="a-query"),
        pytest.param(lambda r: r.replace(b"\2db", b"\2dc"), False, id="another-name"),
        pytest.param(lambda r: r[:11], False, id="cut-off"),
    ],
)
def test_only_a_reply_to_our_question_counts(change, same: bool):
    question = dnslib.DNSRecord.question("db", "A")
    query = wire.read_query(question.pack())
    reply = question.reply()
    reply.header.id = 7
    assert wire.matches(change(reply.pack()), query, 7) is same


def test_a_dot_inside_a_label_is_no_separator():
    message = b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\7db.shop\0" + b"\0\1\0\1"
    assert wire.read_query(message).name != "db.shop"
