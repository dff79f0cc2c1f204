"""Images out of an archive: docker's (``docker save``), or an OCI layout; packed or not.

The archive is read once, front to back, so that it may come through a pipe. Members become files
of a scratch directory under numbers, hashed on the way: no name in the archive ever becomes a path.
What is not what its digest says is refused, and nothing gets a name before it is unpacked and
checked whole. Blocking.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Callable
from pathlib import Path

from orchestra.engine.image.compression import bounded, decompress_archive
from orchestra.engine.image.layer import Limits
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.tar import DIRECTORY, HARD_LINK, REGULAR, SYMLINK, Member, TarReader
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import MANIFEST_BYTES_MAX

_LINKS_MAX = 10
_MEMBERS_MAX = 100_000
_KINDS = (REGULAR, DIRECTORY, SYMLINK, HARD_LINK)


class Unloaded:
    """The members of an archive, as files of a scratch directory. A context manager.

    :raises ImageError: when the archive is damaged, too large, or holds what no archive may.
    """

    def __init__(self, store: ImageStore, read: Callable[[int], bytes], limits: Limits) -> None:
        self._store = store
        self._scratch = store.incoming(f"load-{os.getpid()}-{os.urandom(6).hex()}")
        self._files: dict[str, tuple[Path, Digest]] = {}
        self._links: dict[str, str] = {}
        self._by_digest: dict[Digest, Path] = {}
        self._scratch.mkdir(mode=0o700)
        try:
            self._read(read, limits)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Unloaded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what has not become a blob."""
        remove_tree(str(self._scratch))

    def has(self, name: str) -> bool:
        """Tell whether there is a file of that name."""
        return self._resolve(name) is not None

    def digest(self, name: str) -> Digest:
        """Return the digest of a file.

        :raises ImageError: when it is not in the archive.
        """
        return self._known(name)[1]

    def document(self, name: str) -> bytes:
        """Return a small file whole.

        :raises ImageError: when it is not in the archive, or is no document.
        """
        path, digest = self._known(name)
        return self._small(path, digest)

    def document_of(self, digest: Digest) -> bytes:
        """Return a small file by its digest.

        :raises ImageError: when no file in the archive has it.
        """
        return self._small(self._place(digest), digest)

    def holds(self, digest: Digest) -> bool:
        """Tell whether there is a file that has a digest."""
        return digest in self._by_digest

    def size(self, digest: Digest) -> int:
        """Return the size of the file that has a digest.

        :raises ImageError: when none has.
        """
        return self._place(digest).stat().st_size

    def head(self, digest: Digest, count: int) -> bytes:
        """Return the first bytes of the file that has a digest."""
        with self._place(digest).open("rb") as file:
            return file.read(count)

    def keep(self, digest: Digest, size: int | None = None) -> None:
        """Let the file that has a digest become a blob of the store.

        :raises ImageError: when none has, or it is of another size.
        """
        if self._store.has_blob(digest, size):
            return
        path = self._place(digest)
        if size is not None and path.stat().st_size != size:
            raise ImageError(
                f"cannot load blob {digest[:19]}: it has {path.stat().st_size} bytes, not {size}"
            )
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)
        self._store.keep_incoming(path, digest)
        self._by_digest[digest] = self._store.blob_path(digest)

    def _place(self, digest: Digest) -> Path:
        path = self._by_digest.get(digest)
        if path is None:
            raise ImageError(
                f"cannot load the archive: nothing in it has digest {digest}",
                hint="it is damaged or incomplete; save it again",
            )
        return path

    def _known(self, name: str) -> tuple[Path, Digest]:
        real = self._resolve(name)
        if real is None:
            raise ImageError(f'cannot load the archive: there is no "{name[:200]}" in it')
        _, digest = self._files[real]
        return self._place(digest), digest

    def _small(self, path: Path, digest: Digest) -> bytes:
        with path.open("rb") as file:
            data = file.read(MANIFEST_BYTES_MAX + 1)
        if len(data) > MANIFEST_BYTES_MAX:
            raise ImageError(f"cannot load the archive: document {digest[:19]} is too large")
        return data

    def _resolve(self, name: str) -> str | None:
        """Follow the archive's own links; they lead to other members and nowhere else."""
        at = _clean(name)
        for _ in range(_LINKS_MAX):
            if at in self._files:
                return at
            if at not in self._links:
                return None
            at = self._links[at]
        return None

    def _read(self, read: Callable[[int], bytes], limits: Limits) -> None:
        reader = TarReader(bounded(decompress_archive(read), limits.bytes_max, "load the archive"))
        try:
            for count, member in enumerate(reader.members()):
                if count > min(_MEMBERS_MAX, limits.members_max):
                    raise ImageError("cannot load the archive: it has too many members")
                self._member(member, reader, count)
        except OSError as err:
            raise ImageError(
                f"cannot load the archive: {err.strerror}",
                hint="make room on the disk that holds the data directory",
            ) from err

    def _member(self, member: Member, reader: TarReader, number: int) -> None:
        if member.kind not in _KINDS:
            raise ImageError(
                f'cannot load the archive: "{member.name[:200]}" is a device or a fifo'
            )
        name = _clean(member.name)
        if member.kind == SYMLINK:
            self._links[name] = _clean(posixpath.join(posixpath.dirname(name), member.link))
        elif member.kind == HARD_LINK:
            self._links[name] = _clean(member.link)
        elif member.kind == REGULAR:
            path, digest = self._scratch / str(number), hashlib.sha256()
            with path.open("xb") as file:
                for piece in reader.content():
                    digest.update(piece)
                    file.write(piece)
            found = Digest(f"sha256:{digest.hexdigest()}")
            self._files[name] = path, found
            self._by_digest.setdefault(found, path)


def _clean(name: str) -> str:
    """Return a member's name as a key.

    :raises ImageError: when it leaves the archive.
    """
    path = posixpath.normpath(name.lstrip("/") or ".")
    if path.startswith("../") or path == "..":
        raise ImageError(f'cannot load the archive: "{name[:200]}" leaves it')
    return path
