"""A git repository as ADD and as a build context name it: text -> GitSource.

Pure. The forms are BuildKit's (frontend/dockerfile/dfgitutil): a URL of http or https whose path
ends with ".git", git://, ssh://, user@host:path; then ``#ref:directory``, or a query of ref, tag,
branch, subdir, checksum or commit, keep-git-dir, submodules, mtime and fetch-by-commit. A path of
this machine and file:// are none: a Dockerfile must not read what is outside its context.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit, urlunsplit

from orchestra.errors import BuildError
from orchestra.values import dataclass, replace

_SCP = re.compile(r"([a-zA-Z0-9-_]+)@([a-zA-Z0-9-.]+):(.*?)(?:\?(.*?))?(?:#(.*))?", re.DOTALL)
_SCHEME = re.compile(r"([a-zA-Z0-9]+)://")
_COMMIT = re.compile(r"[a-f0-9]{40}|[a-f0-9]{64}")
_CHECKSUM = re.compile(r"[a-fA-F0-9]+")
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
_SWITCHES = ("keep-git-dir", "submodules", "fetch-by-commit")
_HTTP = ("http", "https")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """What to take from where. None of a switch: nothing is said of it."""

    remote: str
    ref: str = ""
    directory: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool | None = None
    mtime: str = ""

    @property
    def host(self) -> str:
        """Return the host, with its port; "" for the user@host:path form."""
        return urlsplit(self.remote).netloc.rpartition("@")[2] if "://" in self.remote else ""

    @property
    def shown(self) -> str:
        """Return the remote without a password."""
        return without_password(self.remote)


def without_password(remote: str) -> str:
    """Return a URL without its user and password; other forms as they are."""
    if not remote.lower().startswith(("http://", "https://")):
        return remote
    parts = urlsplit(remote)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def read_git_source(text: str, *, context: bool = False) -> GitSource | None:
    """Read a source; None when it is no git repository.

    ``context``: where a build context stands, "github.com/..." is one as well.

    :raises BuildError: when it is one, and its query or its ref makes no sense.
    """
    if context and text.startswith("github.com/"):
        text = f"https://{text}"
        source = _from_url(text, suffix=False)
    elif _SCHEME.match(text):
        source = _from_url(text, suffix=True)
    else:
        source = _from_scp(text)
    if source is None:
        return None
    for name in (source.ref, source.remote):
        if name.startswith("-") or not name.isprintable():
            raise BuildError(f'"{name[:100]}" is not the name of a git ref or repository')
    return source


def _from_url(text: str, *, suffix: bool) -> GitSource | None:
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if scheme in _HTTP:
        if suffix and not parts.path.endswith(".git"):
            return None
    elif scheme not in ("ssh", "git"):
        return None
    remote = urlunsplit(parts._replace(query="", fragment=""))
    return _with_options(GitSource(remote=remote), parts.fragment, parts.query)


def _from_scp(text: str) -> GitSource | None:
    match = _SCP.fullmatch(text)
    if match is None:
        return None
    user, host, path, query, fragment = match.groups()
    return _with_options(GitSource(remote=f"{user}@{host}:{path}"), fragment or "", query or "")


def _with_options(source: GitSource, fragment: str, query: str) -> GitSource:
    ref, _, directory = fragment.partition(":")
    directory = posixpath.join("/", posixpath.normpath(f"/{directory}")).lstrip("/")
    source = replace(source, ref=ref, directory=directory)
    given = parse_qs(query, keep_blank_values=True)
    return _with_query(source, given) if given else source


def _with_query(source: GitSource, given: Mapping[str, list[str]]) -> GitSource:
    fields: dict[str, str] = {}
    for key, values in given.items():
        if key not in _KEYS:
            raise BuildError(f'unexpected "{key[:50]}" in the query of a git repository')
        if len(values) > 1:
            raise BuildError(f'"{key}" is given twice in the query of a git repository')
        if not values[0] and key not in _SWITCHES:
            raise BuildError(f'"{key}" has no value in the query of a git repository')
        fields[key] = values[0]
    switches = {key: _switch(key, fields[key]) for key in _SWITCHES if key in fields}
    ref = _ref_of(source.ref, fields)
    directory = fields.get("subdir", "")
    if directory and source.directory not in ("", directory):
        raise BuildError(f'two directories are given: "{source.directory}" and "{directory}"')
    mtime = fields.get("mtime", "")
    if mtime not in ("", "checkout", "commit"):
        raise BuildError(f'mtime is checkout or commit, not "{mtime[:50]}"')
    checksum = fields.get("checksum", fields.get("commit", ""))
    if switches.get("fetch-by-commit"):
        ref = _by_commit(ref, checksum)
    return replace(
        source,
        ref=ref,
        directory=posixpath.normpath(f"/{directory}").lstrip("/") or source.directory,
        checksum=checksum,
        keep_git_dir=switches.get("keep-git-dir"),
        submodules=switches.get("submodules"),
        mtime=mtime,
    )


_KEYS = ("ref", "tag", "branch", "subdir", "checksum", "commit", "mtime", *_SWITCHES)


def _by_commit(ref: str, checksum: str) -> str:
    commit = checksum or ref
    if not _COMMIT.fullmatch(commit):
        raise BuildError("fetch-by-commit needs the whole name of a commit as checksum or ref")
    return commit


def _switch(key: str, text: str) -> bool:
    if text not in ("", *_TRUE, *_FALSE):
        raise BuildError(f'{key} is true or false, not "{text[:50]}"')
    return text not in _FALSE


def _ref_of(known: str, fields: Mapping[str, str]) -> str:
    if "tag" in fields and "branch" in fields:
        raise BuildError("a git repository is taken at a tag or at a branch, not both")
    for key, prefix in (("ref", ""), ("tag", "refs/tags/"), ("branch", "refs/heads/")):
        if key not in fields:
            continue
        ref = prefix + fields[key].removeprefix(prefix) if prefix else fields[key]
        if known not in ("", ref):
            raise BuildError(f'two refs are given: "{known}" and "{ref}"')
        known = ref
    return known


def with_flags(source: GitSource, *, checksum: str, keep_git_dir: bool | None) -> GitSource:
    """Add what the flags of ADD say to what the source says.

    :raises BuildError: when they do not agree, or the checksum is none.
    """
    if checksum and source.checksum not in ("", checksum):
        raise BuildError(f'two checksums are given: "{checksum}" and "{source.checksum}"')
    if None not in (keep_git_dir, source.keep_git_dir) and keep_git_dir != source.keep_git_dir:
        raise BuildError("--keep-git-dir and the source's keep-git-dir say different things")
    checksum = checksum or source.checksum
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise BuildError(
            f'"{checksum[:80]}" is not the checksum of a git repository',
            hint="give the commit, or the first digits of it",
        )
    keep = source.keep_git_dir if source.keep_git_dir is not None else keep_git_dir
    return replace(source, checksum=checksum.lower(), keep_git_dir=keep)
