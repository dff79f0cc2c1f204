"""``orchestra image build``: build an image from a Dockerfile and its context."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.options import GlobalOptions
from orchestra.cli.plain_builds import image_parts, plain_image_build


def command(
    ctx: Context,
    path: Annotated[str, Argument(metavar="PATH|URL|-")],
    add_hosts: Annotated[
        list[str] | None, Option("--add-host", help="Add a custom host-to-IP mapping, HOST:IP")
    ] = None,
    allow: Annotated[
        list[str] | None,
        Option("--allow", help="Grant more rights: device[=NAME], network.host, security.insecure"),
    ] = None,
    annotations: Annotated[
        list[str] | None,
        Option("--annotation", help="Add an annotation, [manifest|index|...:]KEY=VALUE"),
    ] = None,
    attest: Annotated[
        list[str] | None, Option("--attest", help="type=provenance,... or type=sbom")
    ] = None,
    build_args: Annotated[
        list[str] | None, Option("--build-arg", help="Set build-time variables")
    ] = None,
    build_contexts: Annotated[
        list[str] | None, Option("--build-context", help="Additional build contexts, NAME=PATH|URL")
    ] = None,
    cache_from: Annotated[
        list[str] | None,
        Option("--cache-from", help="External cache sources: NAME, type=registry|local,..."),
    ] = None,
    cache_to: Annotated[
        list[str] | None,
        Option("--cache-to", help="Where the cache goes: NAME, type=registry|local|inline,..."),
    ] = None,
    call: Annotated[
        str, Option("--call", help="Evaluate: build, check, outline, targets[,format=json]")
    ] = "build",
    cgroup_parent: Annotated[
        str, Option("--cgroup-parent", help="Set the parent cgroup of the steps")
    ] = "",
    check: Annotated[bool, Option("--check", help="Shorthand for --call=check")] = False,
    file: Annotated[
        str,
        Option(
            "--file", "-f", help="Name of the Dockerfile, a URL, or - (default: PATH/Dockerfile)"
        ),
    ] = "",
    iidfile: Annotated[str, Option("--iidfile", help="Write the image ID to a file")] = "",
    labels: Annotated[list[str] | None, Option("--label", help="Set metadata for an image")] = None,
    load: Annotated[bool, Option("--load", help="Shorthand for --output=type=docker")] = False,
    metadata_file: Annotated[
        str, Option("--metadata-file", help="Write build result metadata to a file")
    ] = "",
    network: Annotated[
        str | None, Option("--network", help="Networking mode of RUN: default, none, host")
    ] = None,
    no_cache: Annotated[
        bool, Option("--no-cache", help="Do not use cache when building the image")
    ] = False,
    no_cache_filter: Annotated[
        list[str] | None, Option("--no-cache-filter", help="Do not cache specified stages")
    ] = None,
    output: Annotated[
        list[str] | None,
        Option(
            "--output",
            "-o",
            help="Where the result goes: DIRECTORY, - (a tar), or "
            "type=local|tar|oci|docker|image|registry|cacheonly,dest=...",
        ),
    ] = None,
    platforms: Annotated[
        list[str] | None,
        Option("--platform", help="Set the target platform; several, with commas, give an index"),
    ] = None,
    progress: Annotated[
        str, Option("--progress", help="Progress output: auto, tty, plain, quiet, none, rawjson")
    ] = "",
    provenance: Annotated[
        str | None,
        Option("--provenance", help="Add a provenance attestation: true, false, mode=min|max"),
    ] = None,
    pull: Annotated[
        bool, Option("--pull", help="Always attempt to pull all referenced images")
    ] = False,
    push: Annotated[bool, Option("--push", help="Shorthand for --output=type=registry")] = False,
    quiet: Annotated[
        bool, Option("--quiet", "-q", help="Suppress the build output and print the image ID")
    ] = False,
    resources: Annotated[
        list[str] | None,
        Option("--resource", help="Limit each step: memory=2g, cpu-quota=50000, ..."),
    ] = None,
    sbom: Annotated[
        str | None, Option("--sbom", help="Add a software bill of materials: true or false")
    ] = None,
    secrets: Annotated[
        list[str] | None,
        Option("--secret", help="Expose a secret: id=NAME,src=FILE or id=NAME,env=VARIABLE"),
    ] = None,
    shm_size: Annotated[str, Option("--shm-size", help="Size of /dev/shm in the steps")] = "",
    ssh: Annotated[
        list[str] | None,
        Option(
            "--ssh",
            metavar="default|ID[=SOCKET|KEY,...]",
            help="Forward an ssh agent, or a key, to the steps that ask for it",
        ),
    ] = None,
    tags: Annotated[
        list[str] | None, Option("--tag", "-t", help="Name and optionally a tag, NAME:TAG")
    ] = None,
    target: Annotated[
        str | None, Option("--target", help="Set the target build stage to build")
    ] = None,
    ulimits: Annotated[
        list[str] | None, Option("--ulimit", help="Limits of the steps, NAME=SOFT[:HARD]")
    ] = None,
) -> None:
    """Build; "-" is a Dockerfile or a tarball from stdin. Without a tag the image has no name."""
    given = {name: value for name, value in locals().items() if value and name != "ctx"}
    known = plain_image_build(ctx.obj or GlobalOptions(), given)
    from orchestra.cli import imaging as told
    from orchestra.cli.build_options import parse_build_args, parse_ssh, size_of
    from orchestra.cli.building import STDIN, Wanted, check_stdin, deliver, describe
    from orchestra.cli.session import Session
    from orchestra.planner.attesting import parse_provenance, parse_sbom
    from orchestra.planner.building import BuildSpec

    session = Session.of(ctx)
    if progress:
        session.options = told.with_progress(session.options, progress)
    asked = told.parse_call(call, check=check)
    context, is_here = told.place_of(path)
    wanted_platforms = told.words_of(
        platforms or [session.environment.get("DOCKER_DEFAULT_PLATFORM", "")]
    )
    handed = told.secrets_of(secrets or (), session.environment)
    spec = BuildSpec(
        context=context,
        dockerfile=told.dockerfile_of(file, context) if is_here else file or "Dockerfile",
        dockerfile_inline=told.inline_of(file, path),
        target=target,
        args=parse_build_args(build_args or (), session.environment),
        labels=dict(told.pair("--label", text, needed=False) for text in labels or ()),
        no_cache=no_cache,
        pull=pull,
        network=network,
        extra_hosts=tuple(told.host_of(text) for text in add_hosts or ()),
        secrets=handed.files,
        secret_contents=handed.contents,
        shm_size_bytes=size_of("--shm-size", shm_size),
        platforms=wanted_platforms,
        additional_contexts=dict(told.context_of(text) for text in build_contexts or ()),
        ssh=dict(parse_ssh(text) for text in ssh or ()),
        entitlements=told.entitlements_of(allow or ()),
        ulimits=tuple(told.ulimit_of(text) for text in ulimits or ()),
        no_cache_filter=told.words_of(no_cache_filter or ()),
        annotations=told.annotations_of(annotations or (), wanted_platforms),
        cgroup_parent=told.cgroup_of(cgroup_parent),
        resources=told.resources_of(resources or ()),
        provenance=parse_provenance(provenance or told.attested("provenance", attest or ())),
        sbom=parse_sbom(sbom or told.attested("sbom", attest or ())),
    )
    spec = told.with_cache(spec, cache_from or (), cache_to or ())
    wanted = Wanted(
        names=tuple(tags or ()),
        outputs=told.outputs_of(output or (), push=push, load=load),
        iidfile=iidfile,
        metadata_file=metadata_file,
        quiet=quiet,
    )
    if path == STDIN:
        check_stdin()
    if asked.name != "build":
        session.run(lambda: describe(session, spec, asked))
        return
    wanted.check()
    deliver(session, spec, wanted, None if known else image_parts(given, session.environment))
