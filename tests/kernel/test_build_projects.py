"""``orchestra build`` with the options and keys that say where results and caches go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.machine import Run, own_paths
from support.registry import Registry

from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths

pytestmark = pytest.mark.kernel


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    paths = own_paths(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nARG A=1\nCOPY f /f\n")
    (tmp_path / "f").write_text("x")
    return paths


def project(tmp_path: Path, text: str) -> None:
    (tmp_path / "compose.yaml").write_text(f"name: p\nservices:\n{text}")


def test_caches_of_the_file_are_written_and_read(
    run: Run, store: ImageStore, registry: Registry, tmp_path: Path
) -> None:
    project(
        tmp_path,
        f"""
  local: {{build: {{context: ., cache_to: ["type=local,dest=kept,mode=max"]}}}}
  far: {{build: {{context: ., cache_to: ["{registry.address}/c:1", type=gha]}}}}
  inline: {{image: "{registry.address}/app:1", build: {{context: ., cache_to: [type=inline]}}}}
""",
    )
    code, _, err = run("build")
    assert code == 0, err
    assert 'type "gha" is not supported' in err
    assert (tmp_path / "kept/index.json").exists()
    assert ("c", "1") in registry.manifests
    assert run("push", "-q", "inline")[0] == 0
    made = {line.image.config.history[-1].created for line in store.list()}
    for source in ("type=local,src=kept", f"{registry.address}/c:1", f"{registry.address}/app:1"):
        assert run("rmi", *{line.image.id for line in store.list()}, "-f")[0] == 0
        assert run("system", "prune", "-af")[0] == 0
        assert store.blobs() == ()
        project(tmp_path, f"  one: {{build: {{context: ., cache_from: ['{source}', nope:1]}}}}")
        code, _, err = run("--progress", "plain", "build")
        assert code == 0, err
        image = store.get("p-one")
        assert image is not None
        assert image.config.history[-1].created in made, source
        assert '"nope:1" is not used' in err
        assert run("build", "-q") == (0, "", ""), "the project is remembered"


def test_images_are_pushed_once_they_are_built(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    address = registry.address
    project(
        tmp_path,
        f"""
  web: {{image: "{address}/web:1", build: {{context: ., tags: ["{address}/web:extra"]}},
        depends_on: [api]}}
  api: {{image: "{address}/api:1", build: .}}
  nameless: {{build: .}}
""",
    )
    code, _, err = run("build", "--push", "web", "nameless")
    assert code == 0, err
    assert {("web", "1"), ("web", "extra")} <= set(registry.manifests)
    assert ("api", "1") not in registry.manifests
    assert "nameless  Skipped" in err
    assert run("build", "--push", "-q", "--with-dependencies", "web")[0] == 0
    assert ("api", "1") in registry.manifests


def test_dependencies_are_built_with_what_needs_them(
    run: Run, store: ImageStore, tmp_path: Path
) -> None:
    project(
        tmp_path,
        """
  web: {build: {context: ., additional_contexts: {base: "service:base"}}, depends_on: [db]}
  db: {build: .}
  base: {build: .}
  other: {build: .}
""",
    )
    code, _, err = run("build", "--with-dependencies", "web")
    assert code == 0, err
    names = {line.reference for line in store.list()}
    assert names == {f"docker.io/library/p-{name}:latest" for name in ("web", "db", "base")}


def test_the_builds_are_printed_as_a_bake_file(run: Run, store: ImageStore, tmp_path: Path) -> None:
    project(
        tmp_path,
        """
  a.b:
    image: r/web:1
    build:
      context: .
      dockerfile: other/Dockerfile
      args: {A: "${X:-x}", B: null}
      tags: ["r/web:2"]
      target: last
      cache_from: [c:1]
      cache_to: ["type=local,dest=kept"]
      additional_contexts: {base: "service:base", more: /tmp}
      secrets: [s, {source: e, target: t}]
      ulimits: {nofile: 10, nproc: {soft: 1, hard: 2}}
      extra_hosts: ["h=1.2.3.4"]
      shm_size: 64m
      privileged: true
      no_cache_filter: [one]
      provenance: mode=max
      sbom: true
  base: {build: {dockerfile_inline: "FROM scratch\\nENV A=$${B}"}}
secrets: {s: {file: ./s}, e: {environment: HOME}}
""",
    )
    code, out, err = run("build", "--print", "--push", "--no-cache", "--build-arg", "C=2", "a.b")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["group"] == {"default": {"targets": ["a_b"]}}
    target = document["target"]["a_b"]
    assert target == {
        "context": str(tmp_path),
        "contexts": {"base": "target:base", "more": "/tmp"},
        "dockerfile": f"{tmp_path}/other/Dockerfile",
        "labels": {"com.docker.compose.project": "p", "com.docker.compose.service": "a.b"},
        "tags": ["r/web:2", "r/web:1"],
        "cache-from": ["c:1"],
        "cache-to": ["type=local,dest=kept"],
        "target": "last",
        "secret": [f"id=s,type=file,src={tmp_path}/s", "id=t,type=env,env=HOME"],
        "shm-size": str(64 << 20),
        "ulimits": ["nofile=10", "nproc=1:2"],
        "entitlements": ["security.insecure"],
        "extra-hosts": {"h": "1.2.3.4"},
        "no-cache-filter": ["one"],
        "attest": ["type=provenance,mode=max", "type=sbom"],
        "args": {"A": "x", "C": "2"},
        "no-cache": True,
        "output": ["type=registry"],
    }
    base = document["target"]["base"]
    assert base["dockerfile-inline"] == "FROM scratch\nENV A=$${B}"
    assert base["output"] == ["type=docker"]
    assert store.list() == ()


@pytest.mark.parametrize("option", ["--builder=x", "--force-rm", "--parallel"])
def test_what_is_not_offered_is_refused(run: Run, tmp_path: Path, option: str) -> None:
    project(tmp_path, "  one: {build: .}")
    code, _, err = run("build", option)
    assert code == 2
    assert "no such option" in err
    assert "it is docker's, and not offered here" in err
    assert run("build", "--memory", "big")[0] == 2
    assert run("build", "--progress", "fancy")[0] == 2
    assert run("build", "--progress", "quiet", "--memory", "64m") == (0, "", "")
