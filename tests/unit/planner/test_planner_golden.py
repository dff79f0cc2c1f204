"""Plans as text: one situation each, the whole plan under tests/golden/plans."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.worlds import NOW, container, empty, network, observe, project, running, volume

from orchestra.planner.building import BuildSpec
from orchestra.planner.desired import (
    Attachment,
    Condition,
    Dependency,
    ImageSpec,
    Mount,
    MountKind,
    PortSpec,
    RestartMode,
    RestartPolicy,
)
from orchestra.planner.observed import ObservedNetwork, ObservedVolume, Phase
from orchestra.planner.options import DownOptions, Recreate, RemoveImages, StopOptions, UpOptions
from orchestra.planner.reconcile import plan_fetches, plan_images, plan_up
from orchestra.planner.teardown import plan_down, plan_restart, plan_start, plan_stop

DATA = Mount(kind=MountKind.VOLUME, target="/data", source="data")
HEALTHY = Dependency(service="db", condition=Condition.HEALTHY)


def needs(service: str, **fields: object) -> Dependency:
    return Dependency(service=service, **fields)


DB = container("db", mounts=(DATA,))
API = container("api", depends_on=(HEALTHY,), image="shop-api")
WEB = container(
    "web",
    depends_on=(needs("api", restart=True),),
    ports=(PortSpec(container_port=80, host_port=8000),),
)
SHOP = project(
    API,
    DB,
    WEB,
    volumes=(volume("data"),),
    images=(
        ImageSpec(reference="db:1", services=("db",)),
        ImageSpec(
            reference="shop-api",
            services=("api",),
            build=BuildSpec(context="/shop/api", dockerfile="/shop/api/Dockerfile"),
        ),
        ImageSpec(reference="web:1", services=("web",)),
    ),
)
UP = running(SHOP)


def with_container(world, name, **fields):
    return replace(
        world,
        containers=tuple(
            replace(c, **fields) if c.name == f"shop-{name}-1" else c for c in world.containers
        ),
    )


def with_image(world, reference, id_):
    return replace(
        world,
        images=tuple(replace(i, id=id_) if i.reference == reference else i for i in world.images),
    )


def changed(spec, **fields):
    return container(
        spec.service,
        **{
            "depends_on": spec.depends_on,
            "mounts": spec.mounts,
            "ports": spec.ports,
            "image": spec.image,
            **fields,
        },
    )


ORPHAN = replace(observe(container("old"), SHOP), id="old".ljust(64, "0"))
LEFTOVER = replace(
    UP.containers[1], id="0ld0ld0ld0ld".ljust(64, "0"), created_at=NOW - timedelta(days=2)
)

UPS = {
    "first": (SHOP, empty(), UpOptions()),
    "nothing": (SHOP, UP, UpOptions()),
    "subset": (SHOP, empty(), UpOptions(services=("api",))),
    "subset_no_deps": (SHOP, empty(), UpOptions(services=("api",), no_deps=True)),
    "no_start": (SHOP, empty(), UpOptions(no_start=True)),
    "environment": (
        replace(SHOP, containers=(changed(API, environment={"A": "1"}), DB, WEB)),
        UP,
        UpOptions(),
    ),
    "dependency_recreated": (
        replace(SHOP, containers=(API, changed(DB, command=("x",)), WEB)),
        UP,
        UpOptions(),
    ),
    "image": (SHOP, with_image(UP, "shop-api", "newer"), UpOptions()),
    "force": (SHOP, UP, UpOptions(recreate=Recreate.FORCE, services=("web",))),
    "renew_volumes": (SHOP, UP, UpOptions(renew_anon_volumes=True, services=("db",))),
    "exited_lost_paused": (
        SHOP,
        with_container(
            with_container(
                with_container(UP, "db", phase=Phase.EXITED, exit_code=137), "api", phase=Phase.LOST
            ),
            "web",
            phase=Phase.PAUSED,
        ),
        UpOptions(),
    ),
    "scale_up": (SHOP, UP, UpOptions(scale={"api": 3})),
    "scale_down": (
        SHOP,
        replace(
            UP,
            containers=(
                *UP.containers,
                observe(container("api", 2), SHOP),
                observe(container("api", 3), SHOP),
            ),
        ),
        UpOptions(),
    ),
    "orphan_kept": (SHOP, replace(UP, containers=(*UP.containers, ORPHAN)), UpOptions()),
    "orphan_removed": (
        SHOP,
        replace(UP, containers=(*UP.containers, ORPHAN)),
        UpOptions(remove_orphans=True, timeout=timedelta(seconds=3)),
    ),
    "leftover": (SHOP, replace(UP, containers=(*UP.containers, LEFTOVER)), UpOptions()),
    "network_changed": (
        replace(SHOP, networks=(network("default", internal=True),)),
        UP,
        UpOptions(),
    ),
    "network_renamed": (replace(SHOP, networks=(network("default", name="lan"),)), UP, UpOptions()),
    "network_gone": (SHOP, replace(UP, networks=()), UpOptions()),
    "bridge_gone": (
        SHOP,
        replace(UP, networks=(replace(UP.networks[0], present=False),)),
        UpOptions(),
    ),
    "volume_changed": (
        replace(SHOP, volumes=(volume("data", driver_options={"o": "ro"}),)),
        UP,
        UpOptions(),
    ),
    "volume_kept": (
        replace(SHOP, volumes=(volume("data", driver_options={"o": "ro"}),)),
        UP,
        UpOptions(keep_volumes=True),
    ),
    "volume_renamed": (replace(SHOP, volumes=(volume("data", name="gold"),)), UP, UpOptions()),
}


@pytest.mark.parametrize("name", UPS)
def test_up(name, golden):
    golden(f"plans/up_{name}.txt", f"{plan_up(*UPS[name])}\n")


def test_namespace_follows_its_owner(golden):
    sidecar = container(
        "sidecar", network_mode="service:db", networks=(), depends_on=(needs("db", restart=True),)
    )
    before = project(DB, sidecar, volumes=(volume("data"),))
    after = replace(before, containers=(changed(DB, user="9"), sidecar))
    golden("plans/up_shared_namespace.txt", f"{plan_up(after, running(before), UpOptions())}\n")


def test_ports_and_names_change_hands(golden):
    a = container("a", name="left", ports=(PortSpec(container_port=80, host_port=8001),))
    b = container("b", name="right", ports=(PortSpec(container_port=80, host_port=8002),))
    before = project(a, b)
    swapped = project(
        container("a", name="right", ports=b.ports), container("b", name="left", ports=a.ports)
    )
    golden("plans/up_swap.txt", f"{plan_up(swapped, running(before), UpOptions())}\n")


def test_images_forced(golden):
    options = UpOptions(build=True)
    golden("plans/images_build.txt", f"{plan_images(SHOP, UP, options)}\n")


def test_missing_images_are_pulled_beside_forced_builds(golden):
    nothing = empty()
    options = UpOptions(build=True)
    golden("plans/images_build_first_up.txt", f"{plan_fetches(SHOP, nothing, options)}\n")
    assert plan_fetches(SHOP, nothing, UpOptions()).empty
    assert plan_fetches(SHOP, UP, options) == plan_images(SHOP, UP, options)


DOWNS = {
    "all": DownOptions(),
    "volumes": DownOptions(volumes=True, rmi=RemoveImages.ALL),
    "local_images": DownOptions(rmi=RemoveImages.LOCAL),
    "service": DownOptions(services=("api",)),
}


@pytest.mark.parametrize("name", DOWNS)
def test_down(name, golden):
    golden(f"plans/down_{name}.txt", f"{plan_down(UP, DOWNS[name], SHOP)}\n")


def test_down_removes_what_records_know(golden):
    anonymous = ObservedVolume(
        key="", name="a" * 12, project="shop", config_hash="", anonymous=True
    )
    stale = ObservedNetwork(key="old", name="shop_old", project="shop", config_hash="x")
    other = ObservedNetwork(key="default", name="else_default", project="else", config_hash="x")
    one_off = replace(ORPHAN, name="shop-web-run-1", service="web", one_off=True)
    world = replace(
        UP,
        containers=(*UP.containers, one_off),
        networks=(*UP.networks, stale, other),
        volumes=(*UP.volumes, anonymous),
    )
    golden("plans/down_everything.txt", f"{plan_down(world, DownOptions(volumes=True))}\n")


def test_stop_start_restart(golden):
    stopped = with_container(UP, "api", phase=Phase.EXITED, exit_code=0, stopped_by_user=True)
    golden("plans/stop.txt", f"{plan_stop(UP, StopOptions())}\n")
    golden("plans/start.txt", f"{plan_start(stopped, StopOptions())}\n")
    golden("plans/restart.txt", f"{plan_restart(UP, StopOptions())}\n")
    golden("plans/restart_service.txt", f"{plan_restart(UP, StopOptions(services=('api',)))}\n")


def test_attachments_of_two_networks(golden):
    places = (Attachment(network="front"), Attachment(network="back"))
    desired = project(container("web", networks=places))
    golden("plans/up_two_networks.txt", f"{plan_up(desired, empty(), UpOptions())}\n")


def test_a_sibling_goes_with_an_image_that_is_fetched_anew():
    one, two = container("web"), container("web", 2)
    desired = project(one, two)
    world = replace(running(project(one)), images=())
    plan = plan_up(desired, world, UpOptions())
    assert {s.reason for s in plan.steps if s.id.endswith("shop-web-1")} == {"image was gone"}


@pytest.mark.parametrize(
    ("mode", "code", "by_user", "stops"),
    [
        (RestartMode.ALWAYS, 0, False, True),
        (RestartMode.ALWAYS, 0, True, False),
        (RestartMode.ON_FAILURE, 1, False, True),
        (RestartMode.ON_FAILURE, 0, False, False),
        (RestartMode.NO, 1, False, False),
    ],
)
def test_what_may_come_back_by_itself_is_stopped_too(mode, code, by_user, stops):
    world = running(project(container("web")))
    world = with_container(
        world,
        "web",
        phase=Phase.EXITED,
        exit_code=code,
        stopped_by_user=by_user,
        restart=RestartPolicy(mode=mode),
    )
    assert plan_stop(world, StopOptions()).empty is not stops
    assert ("stop container:shop-web-1" in plan_down(world, DownOptions()).ids) is stops
