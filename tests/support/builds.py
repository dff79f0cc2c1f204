"""Builds in tests: a data directory, a context, Dockerfiles given as text; an image of busybox."""

from __future__ import annotations

import io
import shutil
import threading
from contextlib import suppress
from pathlib import Path, PurePosixPath

import anyio
import pytest

from orchestra.engine.build.builder import build_environment, build_image
from orchestra.engine.build.context import open_context
from orchestra.engine.build.ops import do_copy, prepare_copy
from orchestra.engine.build.vertices import ContextSource, CopyVertex
from orchestra.engine.image.layers import open_snapshotter
from orchestra.engine.image.settings import load_settings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths
from orchestra.engine.state.store import Store
from orchestra.oci.platform import Platform
from orchestra.planner.building import BuildSpec
from orchestra.values import replace

BUSYBOX = Path(shutil.which("busybox") or "/bin/busybox")
AMD64 = Platform("linux", "amd64")


def join_workers():
    """Wait for the worker threads of an event loop that has ended: they end a little later."""
    for thread in threading.enumerate():
        if "AnyIO worker" in thread.name or "WorkerThread" in type(thread).__name__:
            thread.join(60)


def command_lines():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes()


class Builder:
    """A data directory, a context, and builds of Dockerfiles given as text."""

    def __init__(self, root, variables=None, scope="test"):
        self.root = root
        self.context = root / "context"
        self.context.mkdir(exist_ok=True)
        self.paths = Paths(
            PurePosixPath(root / "data"),
            PurePosixPath(root / "run"),
            PurePosixPath(root / "config"),
        )
        self.store = ImageStore(self.paths)
        self.variables = variables or {}
        self.scope = scope
        self.lines = []
        self.actions = []
        self.heard = None

    def write(self, **files):
        for name, text in files.items():
            path = self.context / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def environment(self, stdin=None):
        snapshotter = open_snapshotter(self.paths, self.store)
        environment = build_environment(
            self.paths,
            self.store,
            snapshotter,
            lambda: load_settings(self.paths, {}),
            lambda: Store(self.paths),
            platform=AMD64,
            variables=self.variables,
            scope=self.scope,
        )
        return replace(environment, stdin=stdin)

    def build(self, text, reference="test/result", **spec):
        """Build, and return the image; what was said and done is in lines and actions."""
        try:
            return anyio.run(self.start, text, reference, spec)
        finally:
            join_workers()

    async def start(self, text, reference="test/result", spec=None):
        spec = dict(spec or {})
        stdin = spec.pop("stdin", None)
        dockerfile = self.root / "Dockerfile"
        dockerfile.write_text(text)
        self.lines.clear()
        self.actions.clear()
        full = BuildSpec(
            **{
                "context": str(self.context),
                "dockerfile": str(dockerfile),
                "network": "none",
                **spec,
            }
        )
        return await build_image(
            full,
            reference,
            environment=self.environment(None if stdin is None else lambda: io.BytesIO(stdin)),
            progress=lambda progress: self.actions.append(progress.action),
            output=self.hear,
        )

    def hear(self, line):
        self.lines.append(line.text)
        if self.heard is not None:
            self.heard.set()

    @property
    def said(self):
        return "".join(self.lines)

    def done(self):
        """Return the steps that were not cached."""
        return [a.partition("] ")[2][:-5] for a in self.actions if a.endswith(" DONE")]

    def layer_files(self, image):
        """Return every file of an image's layers, uppermost state: path -> bytes."""
        snapshotter = open_snapshotter(self.paths, self.store)
        found = {}
        for directory in reversed(snapshotter.layers(image)):
            for path in Path(directory).rglob("*"):
                if path.is_file() and not path.is_symlink():
                    found[str(path.relative_to(directory))] = path.read_bytes()
        return found

    def left_over(self):
        temporary = Path(self.paths.build_cache) / "tmp"
        handed = [Path(self.paths.run) / name for name in ("build-secrets", "build-ssh")]
        return [p for d in (temporary, *handed) if d.exists() for p in d.iterdir()]


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """A data directory with an image of busybox, test/box; shared, since all of it is content."""
    root = tmp_path_factory.mktemp("build")
    for directory in (root, *root.parents[:2]):
        directory.chmod(0o755)
    if not BUSYBOX.exists():
        pytest.skip("busybox is not installed")
    builder = Builder(root)
    shutil.copy2(BUSYBOX, builder.context / "busybox")
    builder.build(
        "FROM scratch\nCOPY busybox /bin/busybox\n"
        'RUN ["/bin/busybox", "sh", "-c", "for a in $(/bin/busybox --list); do '
        '/bin/busybox ln -s busybox /bin/$a; done"]\n'
        "COPY <<passwd <<group /etc/\nroot:x:0:0::/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\n"
        "passwd\nroot:x:0:\nbob:x:1001:\ngroup\n",
        "test/box",
    )
    return root


@pytest.fixture
def builder(box):
    """Return a builder with an empty context, that leaves no scratch behind."""
    shutil.rmtree(box / "context")
    builder = Builder(box)
    yield builder
    assert builder.left_over() == []


class Ground:
    """A context, two lower layers and an upper directory."""

    def __init__(self, path):
        self.path = path
        self.context = path / "context"
        self.top = path / "top"
        self.bottom = path / "bottom"
        self.upper = path / "upper"
        for directory in (self.context, self.top, self.bottom, self.upper):
            directory.mkdir()
            directory.chmod(0o755)
        self.count = 0

    @property
    def lower(self):
        return (str(self.top), str(self.bottom))

    def fill(self, root, files):
        """Make files (str), directories (None) and links (tuple) below a root."""
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir(exist_ok=True)
            elif isinstance(content, tuple):
                path.symlink_to(content[0])
            else:
                path.write_text(content)

    def copy(self, *words, tree=None, owners=False, add=False, documents=(), epoch=None, **flags):
        *sources, destination = words
        vertex = CopyVertex(
            add=add,
            sources=tuple(sources),
            documents=tuple(documents),
            source=ContextSource(),
            destination=destination,
            unpack=add,
            **flags,
        )
        self.count += 1
        scratch = self.path / f"scratch-{self.count}"
        scratch.mkdir()
        tree = tree or open_context(str(self.context), str(self.context / "Dockerfile"))
        plan = prepare_copy(vertex, tree, owners=owners, fetched={}, scratch=scratch)
        do_copy(vertex, plan, str(self.upper), self.lower, epoch)
        return plan.digests

    def made(self):
        """Return what the upper layer holds: path -> text, link target or None."""
        found = {}
        for path in sorted(self.upper.rglob("*")):
            name = str(path.relative_to(self.upper))
            if path.is_symlink():
                found[name] = (str(path.readlink()),)
            else:
                found[name] = None if path.is_dir() else path.read_text()
        return found
