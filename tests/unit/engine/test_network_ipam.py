"""Subnets and addresses: what the user asks for is had or refused, what is chosen is free."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.engine.network import ipam
from orchestra.engine.state.records import AssignedSubnet
from orchestra.errors import NetworkError
from orchestra.planner.desired import NetworkSpec, Subnet

SPEC = NetworkSpec(key="default", name="shop_default")


def with_subnets(*subnets: Subnet, ipv6: bool = False) -> NetworkSpec:
    return NetworkSpec(key="default", name="shop_default", subnets=subnets, ipv6=ipv6)


def test_the_first_network_of_an_idle_host_is_dockers_second():
    assert ipam.assign_subnets(SPEC, []) == (
        AssignedSubnet(subnet="172.18.0.0/16", gateway="172.18.0.1"),
    )


def test_host_routes_are_kept_clear():
    (found,) = ipam.assign_subnets(SPEC, ["172.18.5.0/24", "172.19.0.0/16", "10.0.0.0/8"])
    assert found.subnet == "172.20.0.0/16"


def test_a_hundred_networks_fit_and_do_not_overlap():
    taken: list[str] = []
    for _ in range(100):
        (found,) = ipam.assign_subnets(SPEC, taken)
        chosen = ip_network(found.subnet)
        assert not any(chosen.overlaps(ip_network(other)) for other in taken)
        taken.append(found.subnet)


def test_no_subnet_left_is_an_error_with_a_hint():
    with pytest.raises(NetworkError, match="every default subnet is in use") as caught:
        ipam.assign_subnets(SPEC, ["172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8"])
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("subnet", "message"),
    [
        pytest.param(Subnet(subnet="172.28.0.1/16"), "host bits", id="host-bits"),
        pytest.param(Subnet(subnet="nonsense"), "nonsense", id="no-cidr"),
        pytest.param(Subnet(subnet="10.1.0.0/31"), "no room", id="too-small"),
        pytest.param(Subnet(subnet="10.9.0.0/16"), "overlaps 10.9.8.0/24", id="overlap"),
        pytest.param(
            Subnet(subnet="10.1.0.0/16", gateway="10.2.0.1"), "is not in", id="gateway-outside"
        ),
        pytest.param(
            Subnet(subnet="10.1.0.0/16", gateway="10.1.0.0"), "own address", id="gateway-is-network"
        ),
    ],
)
def test_a_wrong_subnet_is_refused(subnet: Subnet, message: str):
    with pytest.raises(NetworkError, match=message):
        ipam.assign_subnets(with_subnets(subnet), ["10.9.8.0/24"])


def test_two_subnets_of_one_network_may_not_overlap():
    with pytest.raises(NetworkError, match="overlaps"):
        ipam.assign_subnets(
            with_subnets(Subnet(subnet="10.1.0.0/16"), Subnet(subnet="10.1.2.0/24")), []
        )


def test_ipv6_gets_a_unique_local_prefix_only_when_asked_for():
    v4, v6 = ipam.assign_subnets(with_subnets(ipv6=True), [])
    assert ip_network(v6.subnet).subnet_of(ip_network("fd00::/8"))
    assert v6.gateway == str(ip_network(v6.subnet)[1])
    assert ":" not in v4.subnet


def test_range_and_reserved_addresses_must_lie_inside():
    subnet = Subnet(subnet="10.1.0.0/16", ip_range="10.2.0.0/24")
    assigned = ipam.assign_subnets(with_subnets(subnet), [])
    with pytest.raises(NetworkError, match="ip_range"):
        ipam.check_spec(with_subnets(subnet), assigned)


def test_addresses_follow_the_highest_in_use():
    home = AssignedSubnet(subnet="172.18.0.0/16", gateway="172.18.0.1")
    assert ipam.allocate(SPEC, home, []) == "172.18.0.2"
    assert ipam.allocate(SPEC, home, ["172.18.0.2", "172.18.0.9"]) == "172.18.0.10"


@pytest.mark.parametrize("wanted", ["172.18.0.1", "172.18.0.0", "172.18.255.255", "172.18.0.7"])
def test_a_fixed_address_that_is_taken_is_refused(wanted: str):
    home = AssignedSubnet(subnet="172.18.0.0/16", gateway="172.18.0.1")
    with pytest.raises(NetworkError, match="taken"):
        ipam.allocate(SPEC, home, ["172.18.0.7"], wanted)


@given(
    prefix=st.integers(24, 29),
    taken=st.sets(st.integers(0, 255)),
    reserved=st.sets(st.integers(2, 255), max_size=4),
)
def test_an_address_is_free_and_inside_or_the_subnet_is_full(
    prefix: int, taken: set[int], reserved: set[int]
):
    network = ip_network(f"10.1.2.0/{prefix}")
    size = network.num_addresses
    addresses = {str(network[n]) for n in taken if 1 < n < size - 1}
    kept = {str(n): str(network[n]) for n in reserved if n < size}
    spec = with_subnets(Subnet(subnet=str(network), reserved=kept))
    home = AssignedSubnet(subnet=str(network), gateway=str(network[1]))
    forbidden = addresses | set(kept.values())
    forbidden |= {str(network[0]), str(network[1]), str(network[-1])}
    try:
        found = ipam.allocate(spec, home, addresses)
    except NetworkError:
        assert forbidden >= set(map(str, network))
    else:
        assert ip_address(found) in network
        assert found not in forbidden


def test_ip_range_bounds_what_is_chosen():
    subnet = Subnet(subnet="10.1.0.0/16", ip_range="10.1.5.0/30")
    home = AssignedSubnet(subnet="10.1.0.0/16", gateway="10.1.0.1")
    taken: list[str] = []
    for _ in range(4):
        taken.append(ipam.allocate(with_subnets(subnet), home, taken))
    assert set(taken) == {"10.1.5.0", "10.1.5.1", "10.1.5.2", "10.1.5.3"}
    with pytest.raises(NetworkError, match="every address"):
        ipam.allocate(with_subnets(subnet), home, taken)
