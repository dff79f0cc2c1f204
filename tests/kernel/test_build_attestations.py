"""What a build says of itself: provenance and a bill of materials, stored as BuildKit stores them."""

from __future__ import annotations

import base64
import json
import sqlite3
import struct

import pytest
from support import images
from support.gitserver import git_server
from support.storecheck import check_store
from support.webserver import web_server

from orchestra.errors import BuildError
from orchestra.oci.image import INDEX_OCI
from orchestra.planner.attesting import Mode, Provenance, Version, parse_provenance, parse_sbom

pytestmark = pytest.mark.kernel
MAX = Provenance()
MIN = Provenance(mode=Mode.MIN)
TEXT = (
    "FROM test/box AS tools\nARG WORD=none\nRUN echo $WORD > /made\n"
    "FROM test/box\nARG WORD\nCOPY --from=tools /made /made\nCOPY file /file\n"
    "RUN --mount=type=secret,id=key,required test -s /run/secrets/key\nLABEL a=b\n"
)


def index_of(builder, name="test/result"):
    target = builder.store.target(name)
    assert target.media_type == INDEX_OCI
    return json.loads(builder.store.read_blob(target.digest))["manifests"]


def statements_of(builder, name="test/result"):
    """Return the statements about each image: digest -> type -> statement."""
    found = {}
    for entry in index_of(builder, name):
        notes = entry.get("annotations", {})
        if notes.get("vnd.docker.reference.type") != "attestation-manifest":
            continue
        assert entry["platform"] == {"os": "unknown", "architecture": "unknown"}
        manifest = json.loads(builder.store.read_blob(entry["digest"]))
        own = found.setdefault(notes["vnd.docker.reference.digest"], {})
        assert manifest["subject"]["digest"] == notes["vnd.docker.reference.digest"]
        for layer in manifest["layers"]:
            assert layer["mediaType"] == "application/vnd.in-toto+json"
            statement = json.loads(builder.store.read_blob(layer["digest"]))
            assert statement["_type"] == "https://in-toto.io/Statement/v1"
            kind = layer["annotations"]["in-toto.io/predicate-type"]
            assert statement["predicateType"] == kind
            own[kind] = statement
    return found


def provenance(builder, text=TEXT, asked=MAX, **spec):
    (builder.context / "file").write_text("file")
    secret = builder.root / "secret"
    secret.write_text("never to be seen")
    image = builder.build(text, secrets={"key": str(secret)}, provenance=asked, **spec)
    [(digest, own)] = statements_of(builder).items()
    assert digest == image.manifest
    [statement] = own.values()
    assert statement["subject"] == [
        {
            "name": "pkg:docker/test/result@latest?platform=linux%2Famd64",
            "digest": {"sha256": image.manifest.removeprefix("sha256:")},
        }
    ]
    for blob in builder.store.blobs():
        data = builder.store.blob_path(blob).read_bytes()
        assert b"never to be seen" not in data
    return statement["predicate"]


def test_without_being_asked_a_build_says_nothing(builder):
    builder.build("FROM test/box\nENV A=1\n")
    assert builder.store.target("test/result").media_type != INDEX_OCI


def test_provenance_tells_how_an_image_was_made(builder):
    predicate = provenance(builder, args={"WORD": "spoken"}, labels={"c": "d"}, target=None)
    definition, details = predicate["buildDefinition"], predicate["runDetails"]
    assert definition["externalParameters"] == {
        "configSource": {"path": "Dockerfile"},
        "request": {
            "frontend": "dockerfile.v0",
            "args": {"build-arg:WORD": "spoken", "label:c": "d"},
            "secrets": [{"id": "key"}],
            "locals": [{"name": "context"}, {"name": "dockerfile"}],
        },
    }
    assert definition["internalParameters"]["builderPlatform"] == "linux/amd64"
    box = builder.store.get("test/box")
    assert definition["resolvedDependencies"] == [
        {
            "uri": "pkg:docker/test/box@latest?platform=linux%2Famd64",
            "digest": {"sha256": box.manifest.removeprefix("sha256:")},
        }
    ]
    metadata = details["metadata"]
    assert metadata["startedOn"] <= metadata["finishedOn"]
    assert metadata["buildkit_completeness"] == {"request": True, "resolvedDependencies": False}
    source = metadata["buildkit_metadata"]["source"]
    assert base64.b64decode(source["infos"][0]["data"]).decode() == TEXT
    steps = definition["internalParameters"]["buildConfig"]["llbDefinition"]
    assert [step["id"] for step in steps] == [f"step{n}" for n in range(len(steps))]
    runs = {
        step["id"]: step["op"]["Op"]["exec"]["meta"] for step in steps if "exec" in step["op"]["Op"]
    }
    assert [meta["args"][-1] for meta in runs.values()] == [
        "echo $WORD > /made",
        "test -s /run/secrets/key",
    ]
    assert "WORD=spoken" in next(iter(runs.values()))["env"]
    lines = [
        source["locations"][name]["locations"][0]["ranges"][0]["start"]["line"] for name in runs
    ]
    assert lines == [3, 8]
    for step in steps:
        for name in step.get("inputs", []):
            assert int(name.removeprefix("step").partition(":")[0]) < int(step["id"][4:])
    image = builder.store.get("test/result")
    chains = metadata["buildkit_metadata"]["layers"]
    assert any(
        [layer["digest"] for layer in chain[0]]
        == [layer.descriptor.digest for layer in image.layers]
        for chain in chains.values()
    )
    assert check_store(builder.paths) == []


def test_little_provenance_leaves_values_and_names_of_secrets_out(builder):
    predicate = provenance(builder, asked=MIN, args={"WORD": "spoken"}, labels={"c": "d"})
    definition = predicate["buildDefinition"]
    assert definition["externalParameters"]["request"] == {
        "frontend": "dockerfile.v0",
        "locals": [{"name": "context"}, {"name": "dockerfile"}],
    }
    assert "buildConfig" not in definition["internalParameters"]
    metadata = predicate["runDetails"]["metadata"]
    assert metadata["buildkit_metadata"] == {}
    assert metadata["buildkit_completeness"]["request"] is False
    assert "spoken" not in json.dumps(predicate)
    assert '"key"' not in json.dumps(predicate)


def test_the_older_version_has_its_own_fields(builder):
    asked = Provenance(version=Version.V02, builder_id="https://ci.test/7", reproducible=True)
    predicate = provenance(builder, asked=asked)
    [own] = statements_of(builder).values()
    assert list(own) == ["https://slsa.dev/provenance/v0.2"]
    assert predicate["builder"] == {"id": "https://ci.test/7"}
    assert predicate["buildType"] == "https://mobyproject.org/buildkit@v1"
    assert predicate["invocation"]["configSource"] == {"entryPoint": "Dockerfile"}
    assert predicate["invocation"]["environment"] == {"platform": "linux/amd64"}
    assert predicate["metadata"]["reproducible"] is True
    assert predicate["metadata"]["completeness"] == {
        "parameters": True,
        "environment": True,
        "materials": False,
    }
    assert predicate["materials"][0]["uri"].startswith("pkg:docker/test/box@latest")
    assert predicate["buildConfig"]["llbDefinition"]


def test_the_image_is_the_same_with_what_is_said_of_it(builder):
    (builder.context / "file").write_text("file")
    text = "FROM test/box\nCOPY file /\n"
    plain = builder.build(text)
    told = builder.build(text, provenance=MAX, sbom=True)
    assert (told.id, told.manifest) == (plain.id, plain.manifest)
    assert [line.reference for line in builder.store.list() if line.image == plain] == [
        "docker.io/test/result:latest"
    ], "the lone image leaves no nameless twin of the one in the index"


def test_every_platform_has_its_own(builder):
    text = (
        "FROM --platform=$BUILDPLATFORM test/box AS build\nARG TARGETARCH\n"
        "RUN echo $TARGETARCH > /arch\nFROM scratch\nCOPY --from=build /arch /\n"
    )
    builder.build(text, provenance=MAX, sbom=True, platforms=("linux/amd64", "linux/arm64"))
    entries = index_of(builder)
    kinds = [entry["platform"]["architecture"] for entry in entries]
    assert kinds == ["amd64", "arm64", "unknown", "unknown"]
    told = statements_of(builder)
    assert list(told) == [entry["digest"] for entry in entries[:2]]
    for name, own in zip(("amd64", "arm64"), told.values(), strict=True):
        assert set(own) == {"https://slsa.dev/provenance/v1", "https://spdx.dev/Document"}
        for statement in own.values():
            assert statement["subject"][0]["name"].endswith(f"platform=linux%2F{name}")
    # What tells of images is no image, for whoever looks for one.
    assert len(builder.store.images_of(builder.store.target("test/result"))) == 2


def test_a_git_context_and_what_is_fetched_are_materials(builder):
    (builder.root / "git").mkdir()
    with (
        git_server(builder.root / "git") as repositories,
        web_server({"/f": b"fetched"}) as web,
    ):
        dockerfile = f"FROM scratch\nADD {web}/f /f\n"
        commit = repositories.make("app", Dockerfile=dockerfile)
        url = f"{repositories.url}/app.git"
        builder.build("", context=f"{url}#main", dockerfile="Dockerfile", provenance=MIN)
    [own] = statements_of(builder).values()
    [statement] = own.values()
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["configSource"] == {
        "uri": f"{url}#main",
        "digest": {"sha1": commit},
        "path": "Dockerfile",
    }
    assert definition["resolvedDependencies"] == [
        {"uri": f"{url}#main", "digest": {"sha1": commit}},
        {"uri": f"{web}/f", "digest": {"sha256": images.sha256(b"fetched")}},
    ]
    metadata = statement["predicate"]["runDetails"]["metadata"]
    assert metadata["buildkit_completeness"]["resolvedDependencies"] is True
    assert metadata["buildkit_hermetic"] is True


def told(builder, text, **spec):
    """Build, and return what the provenance of the result says."""
    builder.build(text, provenance=MAX, **spec)
    [own] = statements_of(builder).values()
    [statement] = own.values()
    return statement["predicate"]


def test_secrets_and_agents_that_may_be_missing_are_named(builder):
    predicate = told(
        builder,
        "FROM test/box\nRUN --mount=type=secret,id=one --mount=type=secret,id=two "
        "--mount=type=ssh echo test > /test\n",
    )
    request = predicate["buildDefinition"]["externalParameters"]["request"]
    assert request["secrets"] == [{"id": "one", "optional": True}, {"id": "two", "optional": True}]
    assert request["ssh"] == [{"id": "default", "optional": True}]


@pytest.mark.parametrize("platforms", [(), ("linux/amd64", "linux/arm64")])
def test_an_image_without_files_has_provenance_too(builder, platforms):
    builder.build("FROM scratch\nENV FOO=bar\n", provenance=MAX, sbom=True, platforms=platforms)
    for own in statements_of(builder).values():
        definition = own["https://slsa.dev/provenance/v1"]["predicate"]["buildDefinition"]
        assert definition["resolvedDependencies"] == []
        assert definition["internalParameters"]["buildConfig"]["llbDefinition"] == []


def test_a_platform_named_twice_is_told_of_once(builder):
    told(builder, "FROM test/box\nENV A=1\n", platforms=("linux/amd64", "linux/amd64"))
    assert len(index_of(builder)) == 2


def test_every_line_that_does_something_is_mapped(builder):
    (builder.context / "foo").write_text("data")
    (builder.context / "bar").write_text("data2")
    text = (
        'FROM test/box\nRUN echo "hello" > foo\nWORKDIR /tmp/new\nCOPY foo foo2\n'
        "COPY --link foo foo3\nADD bar bar\n"
    )
    predicate = told(builder, text)
    steps = predicate["buildDefinition"]["internalParameters"]["buildConfig"]["llbDefinition"]
    known = {step["id"]: step["op"]["Op"] for step in steps}
    assert len(known) == len(steps)
    source = predicate["runDetails"]["metadata"]["buildkit_metadata"]["source"]
    lines = []
    for places in source["locations"].values():
        [place] = places["locations"]
        lines += [one["start"]["line"] for one in place["ranges"]]
    assert sorted(lines) == [1, 2, 3, 4, 5, 6]
    bare = [known[name] for name in known.keys() - source["locations"].keys()]
    assert bare == [{"source": {"identifier": "local://context"}}]


def test_layers_that_stages_share_are_told_once_a_chain(builder):
    predicate = told(
        builder,
        "FROM test/box AS base\nFROM base AS a\nRUN date +%s > /a.txt\n"
        "FROM base AS b\nCOPY --from=a /a.txt /\nRUN date +%s > /b.txt\n",
    )
    chains = predicate["runDetails"]["metadata"]["buildkit_metadata"]["layers"]
    assert len(chains) == 3
    for [chain] in chains.values():
        digests = [layer["digest"] for layer in chain]
        assert len(set(digests)) == len(digests)


def test_an_image_of_a_layout_is_a_material_by_its_context(builder):
    layout = builder.root / "A Layout"
    made = images.image([images.layer([images.file("foo", b"foo")])])
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)
    for data in (made.manifest, made.config, made.layers[0].data):
        (blobs / images.sha256(data)).write_bytes(data)
    (layout / "index.json").write_bytes(images.index((images.AMD64, made)))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    place = f"oci-layout://{layout}@{made.digest}"
    predicate = told(builder, "FROM foo\nCOPY <<x /bar\nx\n", additional_contexts={"foo": place})
    assert predicate["buildDefinition"]["resolvedDependencies"] == [
        {
            "uri": "pkg:oci/foo?platform=linux%2Famd64",
            "digest": {"sha256": images.sha256(made.manifest)},
        }
    ]


# -- bill of materials --------------------------------------------------------------------------


def rpm_database(path, *packages):
    """Write a database as rpm does: a table of headers."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    for fields in packages:
        entries, data = b"", b""
        for tag, text in fields.items():
            entries += struct.pack(">iIiI", tag, 6, len(data), 1)
            data += text.encode() + b"\0"
        blob = struct.pack(">II", len(fields), len(data)) + entries + data
        connection.execute("INSERT INTO Packages (blob) VALUES (?)", (blob,))
    connection.execute("INSERT INTO Packages (blob) VALUES (?)", (b"\xff" * 30,))
    connection.commit()
    connection.close()


def packages(builder, text):
    image = builder.build(text, sbom=True)
    statement = statements_of(builder)[image.manifest]["https://spdx.dev/Document"]
    document = statement["predicate"]
    assert document["spdxVersion"] == "SPDX-2.3"
    root, *lines = document["packages"]
    assert root["primaryPackagePurpose"] == "CONTAINER"
    identities = [line["SPDXID"] for line in document["packages"]]
    assert len(set(identities)) == len(identities)
    assert {one["relatedSpdxElement"] for one in document["relationships"]} == set(identities)
    return {line["externalRefs"][0]["referenceLocator"]: line for line in lines}


def test_packages_are_found_where_installers_leave_them(builder):
    files = {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "var/lib/dpkg/status": (
            "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\n"
            "Version: 1:1.2.13.dfsg-1\nDescription: x\n more: lines\n\n"
            "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
        ),
        "var/lib/dpkg/status.d/base": "Package: base-files\nVersion: 12.4\nArchitecture: all\n",
        "var/lib/dpkg/status.d/base.md5sums": "Package: none\nVersion: 0\n",
        "lib/apk/db/installed": "C:Q1x\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\np:so:libc\n\n",
        "usr/lib/python3/site-packages/My_Pkg-1.0.dist-info/METADATA": (
            "Metadata-Version: 2.1\nName: My_Pkg\nVersion: 1.0\nLicense: GNU whatever\n\nVersion: 9\n"
        ),
        "app/node_modules/left-pad/package.json": (
            '{"name": "left-pad", "version": "1.3.0", "license": "WTFPL"}'
        ),
        "app/node_modules/@scope/thing/package.json": '{"name": "@scope/thing", "version": "2.0.0"}',
        "app/node_modules/broken/package.json": "{",
        "app/package.json": '{"name": "own", "version": "0.0.1"}',
    }
    for name, text in files.items():
        path = builder.context / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    database = builder.context / "root/var/lib/rpm/rpmdb.sqlite"
    database.parent.mkdir(parents=True)
    rpm_database(
        database,
        {1000: "bash", 1001: "5.2", 1002: "3.fc40", 1022: "x86_64", 1014: "GPL-3.0-or-later"},
        {1000: "gpg-pubkey", 1001: "1", 1002: "2"},
    )
    text = "FROM scratch\nCOPY root /\n"
    found = packages(builder, text)
    assert {url: line["licenseDeclared"] for url, line in found.items()} == {
        "pkg:apk/debian/musl@1.2.4-r2?arch=x86_64&distro=debian-12": "MIT",
        "pkg:deb/debian/base-files@12.4?arch=all&distro=debian-12": "NOASSERTION",
        "pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1?arch=amd64&distro=debian-12": "NOASSERTION",
        "pkg:npm/%40scope/thing@2.0.0": "NOASSERTION",
        "pkg:npm/left-pad@1.3.0": "WTFPL",
        "pkg:pypi/my-pkg@1.0": "NOASSERTION",
        "pkg:rpm/debian/bash@5.2-3.fc40?arch=x86_64&distro=debian-12": "GPL-3.0-or-later",
    }
    thing = found["pkg:npm/%40scope/thing@2.0.0"]
    assert thing["name"] == "@scope/thing"
    assert thing["sourceInfo"].endswith("app/node_modules/@scope/thing/package.json")
    # The same image has the same bill, whenever it is written.
    target = builder.store.target("test/result")
    builder.build(text, sbom=True)
    assert builder.store.target("test/result") == target


def test_what_a_later_layer_removes_is_not_there(builder):
    text = (
        "FROM test/box\nCOPY <<METADATA /p/a-1.dist-info/METADATA\nName: a\nVersion: 1\nMETADATA\n"
    )
    assert list(packages(builder, text)) == ["pkg:pypi/a@1"]
    assert list(packages(builder, f"{text}RUN rm -r /p\n")) == []


def test_directories_without_end_are_not_followed(builder):
    (builder.context / "a-1.dist-info").mkdir()
    (builder.context / "a-1.dist-info/METADATA").write_text("Name: a\nVersion: 1\n")
    script = "for n in $(seq 200); do mkdir d; cd d; done"
    text = f"FROM test/box\nCOPY . /p/\nRUN cd /p; {script}\n"
    assert list(packages(builder, text)) == ["pkg:pypi/a@1"]


def test_a_database_that_never_ends_is_stopped(builder):
    database = builder.context / "var/lib/rpm/rpmdb.sqlite"
    database.parent.mkdir(parents=True)
    connection = sqlite3.connect(database)
    connection.execute(
        "CREATE VIEW Packages AS WITH RECURSIVE n(hnum) AS (SELECT 1 UNION ALL SELECT hnum + 1 "
        "FROM n) SELECT hnum, NULL AS blob FROM n"
    )
    connection.commit()
    connection.close()
    assert packages(builder, "FROM scratch\nCOPY . /\n") == {}


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"Name: a", b"Name: \nVersion: \n\n", b"\n\nName: a"]
)
def test_damaged_metadata_is_passed_over(builder, content):
    (builder.context / "a-1.dist-info").mkdir()
    (builder.context / "a-1.dist-info/METADATA").write_bytes(content)
    (builder.context / "var/lib/rpm").mkdir(parents=True)
    (builder.context / "var/lib/rpm/rpmdb.sqlite").write_bytes(content * 999)
    (builder.context / "var/lib/dpkg").mkdir(parents=True)
    (builder.context / "var/lib/dpkg/status").symlink_to("/etc/shadow")
    assert packages(builder, "FROM scratch\nCOPY . /\n") == {}


# -- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", MAX),
        ("1", MAX),
        ("false", None),
        ("", None),
        ("mode=min", MIN),
        ("mode=full", MAX),
        ("type=provenance,mode=min", MIN),
        ("mode=max,disabled=true", None),
        ("version=v0.2,builder-id=x", Provenance(version=Version.V02, builder_id="x")),
        ("reproducible=true", Provenance(reproducible=True)),
    ],
)
def test_what_is_asked_for(text, expected):
    assert parse_provenance(text) == expected


@pytest.mark.parametrize(
    "text", ["yes", "mode=some", "mode", "colour=red", "version=v3", "type=sbom", "disabled=maybe"]
)
def test_what_is_not_known_is_refused(text):
    with pytest.raises(BuildError):
        parse_provenance(text)


def test_a_bill_of_materials_is_asked_for_by_yes_or_no():
    assert parse_sbom("true")
    assert not parse_sbom("false")
    with pytest.raises(BuildError, match="no value for sbom"):
        parse_sbom("generator=docker/scout-sbom-indexer:latest")
