"""What a step is handed: ssh agents, secrets, more rights; and that nothing of it stays."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import anyio
import pytest
from support.builds import Builder, join_workers

from orchestra.engine.build.agents import agents
from orchestra.errors import BuildError
from orchestra.planner.building import FileRights
from orchestra.planner.limits import Ulimit

pytestmark = pytest.mark.kernel


@pytest.fixture
def key(tmp_path):
    """A private key without a passphrase."""
    if shutil.which("ssh-agent") is None:
        pytest.skip("openssh-client is not installed")
    path = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a-key", "-f", str(path)], check=True
    )
    return path


@pytest.fixture
def agent(key, tmp_path):
    """An agent that holds the key: its socket."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE)
    process.stdout.readline()
    subprocess.run(["ssh-add", "-q", str(key)], check=True, env={"SSH_AUTH_SOCK": str(socket)})
    yield socket
    process.kill()
    process.wait()
    process.stdout.close()


def with_ssh_add(builder):
    """Put ssh-add and its libraries into the context as "tools"."""
    program = shutil.which("ssh-add")
    told = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    for path in [program, *(word for word in told.split() if word.startswith("/"))]:
        target = builder.context / "tools" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path(path).resolve(), target)


TOOLS = "FROM test/box\nCOPY tools /\n"


def test_an_agent_is_there_for_the_step_and_leaves_no_trace(builder, agent):
    with_ssh_add(builder)
    fingerprint = subprocess.run(
        ["ssh-add", "-l"],
        env={"SSH_AUTH_SOCK": str(agent)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    other = Builder(builder.root, variables={"SSH_AUTH_SOCK": str(agent)})
    image = other.build(
        TOOLS
        + "RUN --mount=type=ssh ssh-add -l && echo $SSH_AUTH_SOCK && stat -c %a:%u $SSH_AUTH_SOCK\n"
        "RUN --mount=type=ssh,id=other,target=/a/b,uid=1000,mode=0660 stat -c %a:%u /a/b; echo $SSH_AUTH_SOCK\n"
        "RUN echo after-$SSH_AUTH_SOCK; ls /run/buildkit /a 2>/dev/null || echo none",
        ssh={"default": "", "other": str(agent)},
    )
    assert other.said == (
        fingerprint + "/run/buildkit/ssh_agent.0\n600:0\n660:1000\n/a/b\nafter-\nnone\n"
    )
    assert "ssh" not in str(image.config.env)
    assert not [n for n in other.layer_files(image) if n.startswith(("run/buildkit", "a/"))]
    text = str(image.config.history)
    assert str(agent) not in text
    assert other.left_over() == []


def test_a_step_can_use_keys_and_not_change_them(builder, agent, key):
    with_ssh_add(builder)
    shutil.copy(key, builder.context / "tools" / "key")
    builder.build(
        TOOLS
        + "RUN --mount=type=ssh ssh-add -D; ssh-add -x </dev/null; chmod 600 /key; ssh-add /key; "
        "ssh-add -l | grep -c ED25519",
        ssh={"default": str(agent)},
    )
    assert builder.said.splitlines()[-1] == "1"
    assert "refused" in builder.said
    left = subprocess.run(
        ["ssh-add", "-l"],
        env={"SSH_AUTH_SOCK": str(agent)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert left.count("ED25519") == 1


def test_a_key_becomes_an_agent_of_the_builds_own(builder, key):
    with_ssh_add(builder)
    builder.build(
        TOOLS + "RUN --mount=type=ssh,required=true ssh-add -l | grep -c a-key",
        ssh={"default": str(key)},
    )
    assert builder.said == "1\n"
    with pytest.raises(BuildError, match=r"cannot forward .* No such file"):
        builder.build("FROM scratch", ssh={"default": f"{key}.none"})
    second = key.with_name("second")
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "b-key", "-f", str(second)]
    subprocess.run(argv, check=True)
    builder.build(
        TOOLS + "RUN --mount=type=ssh ssh-add -l | sort -k 3 | cut -d ' ' -f 3",
        ssh={"default": f"{key},{second}"},
    )
    assert builder.said == "a-key\nb-key\n"
    key.chmod(0o644)
    with pytest.raises(BuildError, match="cannot use"):
        builder.build("FROM scratch", ssh={"default": f"{second},{key}"})


def test_a_socket_stands_alone(builder, key, agent):
    with pytest.raises(BuildError, match="a socket stands alone"):
        builder.build("FROM scratch", ssh={"default": f"{key},{agent}"})


def test_an_agent_that_is_not_given(builder):
    builder.build("FROM test/box\nRUN --mount=type=ssh echo -$SSH_AUTH_SOCK-")
    assert builder.said == "--\n"
    with pytest.raises(BuildError, match='the ssh agent "x" is not given') as caught:
        builder.build("FROM test/box\nRUN --mount=type=ssh,id=x,required true")
    assert "build --ssh x" in caught.value.hint
    with pytest.raises(BuildError, match="no ssh agent to forward"):
        builder.build("FROM test/box", ssh={"default": ""})


def test_an_agent_that_answers_nonsense_harms_nobody(builder, tmp_path):
    async def run():
        path = tmp_path / "evil"
        listener = await anyio.create_unix_listener(path)

        async def evil(client):
            async with client:
                await client.receive()
                await client.send(b"\xff\xff\xff\xff" + b"x" * 1000)

        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, evil)
            await builder.start(
                TOOLS + "RUN --mount=type=ssh ssh-add -l 2>&1 || true",
                spec={"ssh": {"default": str(path)}},
            )
            tasks.cancel_scope.cancel()

    with_ssh_add(builder)
    anyio.run(run)
    join_workers()
    assert "error fetching identities" in builder.said


def test_agents_of_a_build_end_with_it(key, tmp_path):
    async def run():
        with pytest.raises(FileNotFoundError, match="of the build"):
            async with agents({"a": str(key)}, {}, tmp_path):
                raise FileNotFoundError("of the build")
        async with agents({"a": str(key)}, {}, tmp_path) as found:
            assert Path(found["a"]).is_socket()
            return found["a"]

    assert not Path(anyio.run(run)).exists()
    assert list((tmp_path / "build-ssh").iterdir()) == []


def test_secrets_from_values_and_rights_of_the_project(builder):
    image = builder.build(
        "FROM test/box\n"
        "RUN --mount=type=secret,id=v cat /run/secrets/v; stat -c %a:%u:%g /run/secrets/v\n"
        "RUN --mount=type=secret,id=v,mode=0404,uid=7 stat -c %a:%u:%g /run/secrets/v\n"
        "RUN --mount=type=secret,id=v,env=V --mount=type=secret,id=v,env=W,target=/w "
        "[ $V = $(cat /w) ] && [ $W = $V ] && [ ! -e /run/secrets/v ] && echo same",
        secret_contents={"v": "pl41n"},
        secret_rights={"v": FileRights(uid=5, gid=6, mode=0o440)},
    )
    assert builder.said == "pl41n440:5:6\n404:7:6\nsame\n"
    for root in (Path(builder.paths.data), Path(builder.paths.run)):
        for path in root.rglob("*"):
            assert not path.is_file() or b"pl41n" not in path.read_bytes(), path
    assert "pl41n" not in str(image.config)


def test_limits_of_the_build(builder):
    builder.build(
        "FROM test/box\nRUN ulimit -n; df -m /dev/shm | tail -1",
        ulimits=(Ulimit(name="nofile", soft=321, hard=321),),
        shm_size_bytes=3 << 20,
    )
    said = builder.said.split()
    assert (said[0], said[2]) == ("321", "3")


def test_more_rights_only_where_they_are_granted(builder):
    text = "FROM test/box\nRUN --security=insecure grep CapEff /proc/self/status; mount -t tmpfs x /mnt2 2>&1 || mkdir /m && mount -t tmpfs x /m && echo mounted"
    with pytest.raises(BuildError, match=r"needs the entitlement security\.insecure") as caught:
        builder.build(text)
    assert caught.value.location.line == 2
    assert "build.entitlements" in caught.value.hint
    builder.build(text, entitlements=("security.insecure",))
    assert "mounted" in builder.said
    assert "00000000a80425fb" not in builder.said
    with pytest.raises(BuildError, match="needs the entitlement"):
        builder.build(text)
    with pytest.raises(BuildError, match=r"needs the entitlement network\.host"):
        builder.build("FROM test/box\nRUN --network=host true")
    before = set(Path("/sys/class/net").iterdir())
    builder.build(
        "FROM test/box\nRUN --network=host cat /proc/net/dev", entitlements=("network.host",)
    )
    lasting = before & set(Path("/sys/class/net").iterdir())  # others' links come and go
    devices = {line.partition(":")[0].strip() for line in builder.said.splitlines() if ":" in line}
    assert {path.name for path in lasting} <= devices | {"bonding_masters"}
    builder.build("FROM test/box\nRUN --network=none ls /sys/class/net", network="host")
    assert builder.said == "lo\n"


def test_private_caches_are_had_at_the_same_time(builder):
    """Each step waits for the other in a cache that both share, and finds its own one its own."""
    meet = "RUN --mount=type=cache,target=/c,id=own,sharing=private --mount=type=cache,target=/m,id=meeting touch /c/{me} /m/{me}; i=0; while [ ! -e /m/{you} ] && [ $i -lt 300 ]; do i=$((i+1)); sleep 0.1; done; [ -e /m/{you} ] && [ ! -e /c/{you} ] && echo {me} > /{me}\n"
    builder.build(
        "FROM test/box AS a\n" + meet.format(me="a", you="b")
        + "FROM test/box AS b\n" + meet.format(me="b", you="a")
        + "FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /"
    )  # fmt: skip


def test_a_locked_cache_is_had_by_one_step_after_the_other(builder):
    """Without the lock the second step would come while the first one dwells in the cache."""
    step = "FROM test/box AS {n}\nRUN --mount=type=cache,target=/c,id=one,sharing=locked [ ! -e /c/busy ] && touch /c/busy && sleep 0.5 && rm /c/busy && echo {n} > /{n}\n"
    text = "".join(step.format(n=n) for n in ("a", "b"))
    builder.build(text + "FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /")


def test_a_cache_begins_with_the_files_of_a_stage(builder):
    builder.build(
        "FROM test/box AS seed\nRUN mkdir /s && echo 1 > /s/f\nFROM test/box\n"
        "RUN --mount=type=cache,target=/c,id=seeded,from=seed,source=/s cat /c/f; echo 2 > /c/f\n"
        "RUN --mount=type=cache,target=/c,id=seeded,from=seed,source=/s,readonly cat /c/f; touch /c/g 2>&1"
        " || true"
    )
    assert builder.said.split("\n")[:2] == ["1", "2"]
    assert "Read-only" in builder.said
