"""ADD of a URL: fetched into a scratch directory, checked when a checksum is given.

The file's name is the last component of the path, its mode 0600, its time the server's
Last-Modified (reference of the Dockerfile, ADD). What is fetched is digested like any other
source, so an unchanged file is a cache hit.
"""

from __future__ import annotations

import email.utils
import hashlib
import os
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from orchestra.engine.build.git_source import without_password
from orchestra.errors import BuildError

_TIMEOUT_SECONDS = 60.0
_BYTES_MAX = 64 << 30
_MODE = 0o600
_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}


async def download(url: str, directory: Path, checksum: str) -> Path:
    """Fetch a URL into ``directory`` and return the file.

    :raises BuildError: when the server does not give it, or the checksum does not fit.
    """
    import httpx2  # noqa: PLC0415  # costs too much to import for builds that need it not

    algorithm, wanted = _checksum(checksum)
    path, shown = directory / _file_name(url), without_password(url)
    digest = hashlib.new(algorithm)
    size = 0
    try:
        async with (
            httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, follow_redirects=True) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise BuildError(f'cannot fetch "{shown}": the server said {response.status_code}')
            with path.open("wb") as file:
                async for chunk in response.aiter_bytes():
                    size += len(chunk)
                    if size > _BYTES_MAX:
                        raise BuildError(f'cannot fetch "{shown}": it is too large')
                    digest.update(chunk)
                    file.write(chunk)
            modified = response.headers.get("last-modified", "")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise BuildError(f'cannot fetch "{shown}": {error}') from error
    except OSError as error:
        raise BuildError(f'cannot keep what "{shown}" gives: {error.strerror}') from error
    found = f"{algorithm}:{digest.hexdigest()}"
    if wanted and found != checksum:
        raise BuildError(f'the checksum of "{shown}" is {found}', hint="compare it with --checksum")
    path.chmod(_MODE)
    time = _time(modified)
    os.utime(path, (time, time))
    return path


def _checksum(text: str) -> tuple[str, str]:
    """Return the algorithm and the hex digits of a checksum; of none, sha256 and "".

    :raises BuildError: when it is not a checksum.
    """
    algorithm, _, digits = text.partition(":") if text else ("sha256", "", "")
    if algorithm not in _DIGITS:
        raise BuildError(
            f'--checksum: "{text[:100]}" is of no algorithm that is known',
            hint=f"it is one of {', '.join(_DIGITS)}",
        )
    if text and not re.fullmatch(rf"[0-9a-f]{{{_DIGITS[algorithm]}}}", digits):
        raise BuildError(f'--checksum: "{text[:100]}" is not a {algorithm} digest')
    return algorithm, digits


def _file_name(url: str) -> str:
    name = posixpath.basename(unquote(urlsplit(url).path))
    return name if name not in ("", ".", "..") and "\0" not in name else "__unnamed__"


def _time(modified: str) -> float:
    try:
        return email.utils.parsedate_to_datetime(modified).timestamp()
    except ValueError:
        return 0.0
