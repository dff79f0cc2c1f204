"""Links across projects, further addresses, options of interfaces, network_mode by a name."""

from __future__ import annotations

from support.scenario import Scenario, eventually

APP = 'command: ["sleep", "1000"]'


def looked_up(scenario: Scenario, service: str, name: str) -> str:
    """Return what nslookup says of a name; the project's resolver comes up by itself."""
    return scenario.exec(service, "nslookup", name, code=None).out


def test_external_links_name_containers_of_other_projects(scenario: Scenario) -> None:
    other = scenario.sibling()
    scenario.edit(
        APP,
        APP
        + f"""
    networks: [shared]
networks:
  shared: {{name: {scenario.project}-shared}}
""",
    )
    scenario.up()
    other.edit(
        APP,
        APP
        + f"""
    external_links: ["{scenario.project}-app-1:upstream", "{scenario.project}-app-1"]
    networks: [shared]
networks:
  shared: {{name: {scenario.project}-shared, external: true}}
""",
    )
    other.up()
    address = scenario.exec("app", "hostname", "-i").out.split()[0]
    for name in ("upstream", f"{scenario.project}-app-1"):
        eventually(lambda name=name: address in looked_up(other, "app", name), name)
    scenario.exec("app", "nslookup", "upstream", code=1)
    other.run("down", "-t", "0")


def test_link_local_addresses_and_sysctls_of_an_interface(scenario: Scenario) -> None:
    scenario.edit(
        APP,
        APP
        + """
    networks:
      default:
        link_local_ips: [169.254.8.8]
        driver_opts:
          com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1
          com.docker.network.endpoint.ifname: lan0
  other:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    networks: {default: {link_local_ips: [169.254.9.9]}}
""",
    )
    scenario.up()
    assert "169.254.8.8/16" in scenario.exec("app", "ip", "-o", "addr", "show", "lan0").out
    path = "/proc/sys/net/ipv4/conf/{}/log_martians"
    assert scenario.exec("app", "cat", path.format("lan0")).out == "1\n"
    assert scenario.exec("app", "cat", path.format("default")).out == "0\n"
    # They may speak from those addresses, too.
    scenario.exec("other", "ping", "-c", "1", "-W", "30", "-I", "169.254.9.9", "169.254.8.8")


def test_only_interfaces_of_networks_with_ipv6_have_any(scenario: Scenario) -> None:
    scenario.edit(
        APP,
        APP
        + """
    networks:
      four: {interface_name: four0}
      six: {interface_name: six0}
networks:
  four:
  six: {enable_ipv6: true}
""",
    )
    scenario.up()
    addresses = scenario.exec("app", "ip", "-o", "-6", "addr").out
    assert "six0" in addresses
    assert "four0" not in addresses
    path = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"
    of = {
        name: scenario.exec("app", "cat", path.format(name)).out.strip()
        for name in ("four0", "six0", "lo", "default", "all")
    }
    assert of == {"four0": "1", "six0": "0", "lo": "0", "default": "0", "all": "0"}


def test_network_mode_bridge_is_a_network_of_the_projects_own(scenario: Scenario) -> None:
    scenario.edit(
        APP,
        APP
        + """
    network_mode: bridge
  db:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    network_mode: bridge
    links: ["app:front"]
""",
    )
    scenario.up()
    address = scenario.exec("app", "hostname", "-i").out.split()[0]
    eventually(lambda: address in looked_up(scenario, "db", "front"), "front")
    scenario.exec("db", "ping", "-c", "1", "-W", "30", "front")


def test_network_mode_names_a_network_that_is_there(scenario: Scenario) -> None:
    other = scenario.sibling()
    other.edit(APP, APP + f"\n    network_mode: {scenario.project}_default")
    assert "is not there" in other.up(code=4).err
    scenario.up()
    other.up()
    address, name = (
        scenario.exec("app", "hostname", "-i").out.split()[0],
        f"{scenario.project}-app-1",
    )
    eventually(lambda: address in looked_up(other, "app", name), name)
    other.run("down", "-t", "0")
