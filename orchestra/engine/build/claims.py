"""What was seen of a build -> statements about its image, where they were asked for."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from orchestra.engine.build.attestations import Claim
from orchestra.engine.build.checking import Question
from orchestra.engine.build.contexts import Contexts
from orchestra.engine.build.export import Member
from orchestra.engine.build.outcome import Story
from orchestra.engine.build.packages import Package, packages_of
from orchestra.engine.build.provenance import image_url, provenance_of
from orchestra.engine.build.sbom import SPDX, spdx_of
from orchestra.engine.build.solver import Solver
from orchestra.engine.build.tree import Tree
from orchestra.engine.image.wire import parse_config
from orchestra.engine.waiting import in_thread
from orchestra.oci.digest import digest_of
from orchestra.planner.building import BuildSpec
from orchestra.values import dataclass, replace

SBOM_FILE = "sbom.spdx.json"


@dataclass(frozen=True, slots=True)
class Witness:
    """Who tells of the build of one platform; ``names`` are those that the image gets."""

    spec: BuildSpec
    names: Sequence[str]
    contexts: Contexts
    question: Question
    started: datetime

    async def attest(self, member: Member, solver: Solver) -> Member:
        """Return the image with what is to be said of it."""
        claims: list[Claim] = []
        subjects = tuple(image_url(name, member.platform) for name in self.names)
        if self.spec.sbom:
            packages = await self._packages(member, solver)
            document = spdx_of(
                packages,
                name=subjects[0] if subjects else "image",
                digest=digest_of(member.config),
                created=parse_config(member.config).created or "1970-01-01T00:00:00Z",
            )
            claims.append(Claim(SPDX, document, SBOM_FILE))
        if self.spec.provenance is not None:
            kind, predicate = provenance_of(self._story(solver), self.spec.provenance)
            asked = self.spec.provenance
            claims.append(Claim(kind, predicate, "" if asked.inline_only else asked.filename))
        return replace(member, claims=tuple(claims), subjects=subjects)

    async def _packages(self, member: Member, solver: Solver) -> tuple[Package, ...]:
        directories = await solver.environment.layers.directories(member.layers)
        if not directories:
            return ()
        return await in_thread(packages_of, Tree(directories))

    def _story(self, solver: Solver) -> Story:
        environment, job = solver.environment, solver.job
        images = {
            key: environment.images.known_as(key[0], image) for key, image in solver.bases.items()
        }
        named = [name for name in self.contexts.trees if name]
        return Story(
            graph=job.graph,
            stages=solver.solved(),
            images=images,
            fetched=solver.runner.fetched,
            commits=self.contexts.commits,
            context_images=self.contexts.images,
            context=self.spec.context,
            local_contexts=tuple(name for name in named if name not in self.contexts.commits),
            dockerfile=self.contexts.dockerfile,
            dockerfile_name=self.question.name.rpartition("/")[2]
            if self.question.name.startswith("/")
            else self.question.name,
            target=self.spec.target or "",
            arguments=self.question.arguments,
            labels=self.spec.labels,
            network=job.network,
            no_cache=job.no_cache,
            builder=environment.platform,
            platform=job.platform,
            invocation=secrets.token_hex(12),
            started=_text(self.started),
            finished=_text(environment.clock.now()),
        )


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
