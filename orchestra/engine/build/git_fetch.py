"""Fetching a git repository into a scratch directory, by the host's git.

Nothing of this machine flows in: no configuration, hooks, helpers or templates, no prompt, and no
protocol but those of the network, so that neither a repository nor a submodule names a path here.
Tokens travel in the environment, never in arguments or in what is kept.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from orchestra.engine.build.git_access import Checkout, GitAccess
from orchestra.engine.build.git_source import GitSource, without_password
from orchestra.engine.process import run_group
from orchestra.engine.waiting import in_thread
from orchestra.errors import BuildError, CommandError

_TIMEOUT = timedelta(minutes=30)
_PROTOCOLS = "git:http:https:ssh"
_SHALLOW = ("--depth", "shallow")
_UNADVERTISED = ("not our ref", "unadvertised object", "couldn't find remote ref")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


async def fetch_git(source: GitSource, directory: Path, access: GitAccess) -> Checkout:
    """Fetch a repository into ``directory``, which does not exist yet.

    :raises BuildError: when git is not there, or the repository, ref or checksum is not.
    """
    home = directory.with_name(f"{directory.name}-home")
    home.mkdir(mode=0o700)
    git = _Git(source, directory, git_environment(source, home, access))
    try:
        commit, time = await git.fetch()
    except CommandError as error:
        raise BuildError(
            f'cannot fetch the git repository "{source.shown}": {error.message}{_said(error)}',
            hint="install git" if error.returncode == 127 else _HINT,
        ) from error
    finally:
        shutil.rmtree(home, ignore_errors=True)
    submodules = source.submodules is not False
    kept = source.shown if source.keep_git_dir else ""  # it stands in .git/config
    identity = "\0".join(("git", commit, source.mtime, str(submodules), kept))
    return Checkout(directory=directory, commit=commit, identity=identity, time=time)


_HINT = "check the address and the ref; a private one needs GIT_AUTH_TOKEN as a secret, or ssh"


def _said(error: CommandError) -> str:
    lines = [line for line in error.stderr.splitlines() if line.startswith(("fatal:", "error:"))]
    return f"; {lines[-1]}" if lines and lines[-1] not in error.message else ""


def git_environment(source: GitSource, home: Path, access: GitAccess) -> dict[str, str]:
    """Return all that git is told of this machine."""
    known = access.variables
    hosts = Path(known.get("HOME", "/root"), ".ssh", "known_hosts")
    ssh = f"ssh -F /dev/null -o BatchMode=yes -o UserKnownHostsFile={hosts}"
    settings = {
        "core.hooksPath": os.devnull,
        "init.defaultBranch": "main",
        "advice.detachedHead": "false",
        "core.fsmonitor": "false",
        "gc.auto": "0",
        "safe.directory": "*",
    }
    header = _header(source, access.tokens)
    if header:
        settings[f"http.https://{source.host}/.extraheader"] = f"Authorization: {header}"
    environment = {
        "PATH": known.get("PATH", os.defpath),
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_SSH_COMMAND": ssh,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = key
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    if access.ssh_socket:
        environment["SSH_AUTH_SOCK"] = access.ssh_socket
    for name in _PROXIES:
        for spelled in (name, name.upper()):
            if spelled in known:
                environment[spelled] = known[spelled]
    return environment


def _header(source: GitSource, tokens: Mapping[str, str]) -> str:
    """Return the Authorization that the secrets give for the source's host, over https only."""
    if not source.remote.lower().startswith("https://"):
        return ""
    for suffix in (f".{source.host}", ""):
        if header := tokens.get(f"GIT_AUTH_HEADER{suffix}"):
            return header
        if token := tokens.get(f"GIT_AUTH_TOKEN{suffix}"):
            encoded = base64.b64encode(f"x-access-token:{token}".encode()).decode()
            return f"basic {encoded}"
    return ""


class _Git:
    """One fetch."""

    def __init__(self, source: GitSource, directory: Path, environment: Mapping[str, str]) -> None:
        self.source = source
        self.directory = directory
        self.environment = environment

    async def run(self, *words: str) -> str:
        """Run git in the directory; a server that knows no shallow fetch gets a deep one."""
        try:
            return await self._run(words)
        except CommandError as error:
            deep = [word for word in words if word != "--depth=1"]
            if len(deep) == len(words) or not any(word in error.stderr for word in _SHALLOW):
                raise
            return await self._run(deep)

    async def _run(self, words: Sequence[str]) -> str:
        argv = ["git", "-C", str(self.directory), *words]
        output = await run_group(argv, env=self.environment, timeout=_TIMEOUT)
        return output.decode("utf-8", "replace").strip()

    async def fetch(self) -> tuple[str, int]:
        """Fetch and check out; return the commit, and when it was made."""
        source = self.source
        self.directory.mkdir(mode=0o755)
        await self.run("init", "--quiet", "--template=")
        await self.run("remote", "add", "origin", source.remote)
        await self._fetch_ref(source.ref or "HEAD")
        tip = await self.run("rev-parse", "FETCH_HEAD")
        commit = await self.run("rev-parse", "FETCH_HEAD^{commit}")
        if not any(name.startswith(source.checksum) for name in (tip, commit)):
            raise BuildError(
                f'the git repository "{source.shown}" is at {commit}, not {source.checksum}',
                hint="compare it with --checksum",
            )
        await self.run("checkout", "--quiet", "--force", commit)
        if source.submodules is not False:
            await self.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
        time = int(await self.run("show", "--no-patch", "--format=%ct", commit))
        await self._finish(time)
        return commit, time

    async def _fetch_ref(self, ref: str) -> None:
        words = ("fetch", "--quiet", "--no-tags", "--depth=1", "--update-head-ok", "origin")
        try:
            await self.run(*words, ref)
        except CommandError as error:
            if not any(word in error.stderr for word in _UNADVERTISED):
                raise
            if ref == "HEAD":
                raise
            # A commit that no ref names, or an abbreviated one: only a whole clone holds it.
            await self.run("fetch", "--quiet", "--tags", "--force", "origin", "+refs/*:refs/o/*")
            name = await self.run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
            (self.directory / ".git" / "FETCH_HEAD").write_text(f"{name}\t\t\n")

    async def _finish(self, time: int) -> None:
        if self.source.keep_git_dir:
            clean = without_password(self.source.remote)
            await self.run("remote", "set-url", "origin", clean)
            for name in ("FETCH_HEAD", "ORIG_HEAD"):
                (self.directory / ".git" / name).unlink(missing_ok=True)
        else:
            await in_thread(shutil.rmtree, self.directory / ".git")
            await in_thread(_drop_links_to_git, self.directory)
        if self.source.mtime != "checkout":
            await in_thread(_set_times, self.directory, time)


def _drop_links_to_git(directory: Path) -> None:
    """Remove the ``.git`` file of each submodule, which names a directory that is gone."""
    for parent, directories, files in os.walk(directory):
        if ".git" in files:
            Path(parent, ".git").unlink()
        directories[:] = [name for name in directories if not Path(parent, name).is_symlink()]


def _set_times(directory: Path, time: int) -> None:
    for parent, directories, files in os.walk(directory, topdown=False):
        for name in (*files, *directories):
            os.utime(Path(parent, name), (time, time), follow_symlinks=False)
    os.utime(directory, (time, time))
