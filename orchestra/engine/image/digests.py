"""Which digest a reference stands for at its registry now; nothing is fetched or stored.

Light to import: the HTTP client comes in only when somebody really asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestra.engine.image.settings import RegistrySettings
from orchestra.errors import ImageError, StepErrors
from orchestra.oci.reference import ImageRef, parse_reference

_AT_ONCE = 8


async def digests_of(
    references: Iterable[str], settings: RegistrySettings, notice: Callable[[str], None]
) -> dict[str, str]:
    """Return the digests of references (with a tag, or "latest"), asked for side by side.

    :raises StepErrors: when some cannot be had; holds one error for each.
    """
    import anyio  # noqa: PLC0415

    from orchestra.engine.image.http import HttpClient  # noqa: PLC0415 - 80 ms: httpx2
    from orchestra.engine.image.registry import Repository  # noqa: PLC0415

    found: dict[str, str] = {}
    failed: dict[str, ImageError] = {}
    limit = anyio.CapacityLimiter(_AT_ONCE)

    async with HttpClient() as http, anyio.create_task_group() as tasks:

        async def ask(reference: str) -> None:
            parsed = parse_reference(reference)
            async with limit:
                try:
                    repository = Repository(http, parsed, settings, notice)
                    document = await repository.manifest(parsed.tag or str(parsed.digest))
                except ImageError as err:
                    failed[reference] = err
                else:
                    found[reference] = str(document.digest)

        for reference in references:
            tasks.start_soon(ask, reference)
    if failed:
        raise StepErrors(tuple(failed[reference] for reference in sorted(failed)))
    return found


async def tags_of(reference: ImageRef, settings: RegistrySettings) -> tuple[str, ...]:
    """Return every tag that a repository has at its registry, by name.

    :raises RegistryError: when the registry does not tell.
    """
    from orchestra.engine.image.http import HttpClient  # noqa: PLC0415 - 80 ms: httpx2
    from orchestra.engine.image.registry import Repository  # noqa: PLC0415

    async with HttpClient() as http:
        return await Repository(http, reference, settings, lambda _: None).tags()
