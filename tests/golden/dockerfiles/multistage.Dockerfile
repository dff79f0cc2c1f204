ARG GO_VERSION=1.22
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
ARG TARGETOS TARGETARCH
WORKDIR /src
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=bind,source=go.mod,target=go.mod \
    go mod download -x
COPY --link . .
RUN --mount=type=secret,id=token,required=true GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /bin/app .

FROM scratch
COPY --from=build --chown=1000:1000 --chmod=755 /bin/app /app
USER 1000:1000
ENTRYPOINT ["/app"]
HEALTHCHECK --interval=5s --timeout=2s --start-period=1m CMD ["/app", "health"]
