"""Packages -> a bill of materials: SPDX 2.3 as JSON.

Pure: the same packages give the same bytes, whose times and names are those of the image.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from urllib.parse import quote

from orchestra.engine.build.packages import Package

SPDX = "https://spdx.dev/Document"
"""The type of the predicate (in-toto, "SPDX")."""
_NOTHING = "NOASSERTION"
_ROOT = "SPDXRef-DocumentRoot-Image"
_LICENSES = frozenset(
    [
        "0BSD",
        "AFL-2.1",
        "AGPL-3.0-only",
        "AGPL-3.0-or-later",
        "Apache-2.0",
        "Artistic-2.0",
        "BSD-1-Clause",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSD-4-Clause",
        "BSL-1.0",
        "BlueOak-1.0.0",
        "CC-BY-3.0",
        "CC-BY-4.0",
        "CC0-1.0",
        "EPL-2.0",
        "GPL-1.0-or-later",
        "GPL-2.0-only",
        "GPL-2.0-or-later",
        "GPL-3.0-only",
        "GPL-3.0-or-later",
        "ISC",
        "LGPL-2.0-or-later",
        "LGPL-2.1-only",
        "LGPL-2.1-or-later",
        "LGPL-3.0-only",
        "LGPL-3.0-or-later",
        "MIT",
        "MIT-0",
        "MPL-1.1",
        "MPL-2.0",
        "OFL-1.1",
        "OpenSSL",
        "PSF-2.0",
        "Python-2.0",
        "Unicode-3.0",
        "Unlicense",
        "WTFPL",
        "X11",
        "Zlib",
        "bzip2-1.0.6",
        "curl",
    ]
)
"""Those of SPDX's list that are written as it writes them; another text is no expression there."""
_BETWEEN = re.compile(r" (?:AND|OR) ")


def spdx_of(
    packages: Sequence[Package], *, name: str, digest: str, created: str
) -> dict[str, object]:
    """Return the document of an image: its ``name``, its config's ``digest``, its time."""
    lines = [_package(package) for package in packages]
    root = {
        "SPDXID": _ROOT,
        "name": name,
        "versionInfo": digest,
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        "licenseConcluded": _NOTHING,
        "licenseDeclared": _NOTHING,
        "copyrightText": _NOTHING,
        "primaryPackagePurpose": "CONTAINER",
    }
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", _ROOT)]
    relations += [_relation(_ROOT, "CONTAINS", str(line["SPDXID"])) for line in lines]
    return {
        "SPDXID": "SPDXRef-DOCUMENT",
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "name": name,
        "documentNamespace": f"https://orchestra.invalid/spdx/{digest.removeprefix('sha256:')}",
        "creationInfo": {
            "created": _second(created),
            "creators": ["Tool: orchestra"],
        },
        "packages": [root, *lines],
        "relationships": relations,
    }


def package_url(package: Package) -> str:
    """Return a package's URL (purl-spec)."""
    parts = [package.namespace, package.name] if package.namespace else [package.name]
    path = "/".join(quote(part, safe="") for part in parts)
    version = f"@{quote(package.version, safe=':')}" if package.version else ""
    qualifiers = {"arch": package.architecture, "distro": package.distro}
    query = "&".join(f"{key}={quote(text, safe='')}" for key, text in qualifiers.items() if text)
    return f"pkg:{package.kind}/{path}{version}{f'?{query}' if query else ''}"


def _package(package: Package) -> dict[str, object]:
    name = f"{package.namespace}/{package.name}" if package.kind == "npm" else package.name
    return {
        "SPDXID": _identity(package),
        "name": name.lstrip("/"),
        "versionInfo": package.version,
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        "sourceInfo": f"acquired package info from {package.place}",
        "licenseConcluded": _NOTHING,
        "licenseDeclared": _license(package.license),
        "copyrightText": _NOTHING,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package_url(package),
            }
        ],
    }


def _license(text: str) -> str:
    return text if _LICENSES.issuperset(_BETWEEN.split(text)) else _NOTHING


def _identity(package: Package) -> str:
    """Return an id: letters, digits, "." and "-" only, and one a package."""
    word = re.sub(r"[^A-Za-z0-9.-]", "-", package.name)[:100]
    whole = f"{package_url(package)}\0{package.place}".encode()
    return f"SPDXRef-Package-{package.kind}-{word}-{hashlib.sha256(whole).hexdigest()[:16]}"


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _second(moment: str) -> str:
    """Return a time as SPDX wants it: of whole seconds."""
    return re.sub(r"\.[0-9]+", "", moment)
