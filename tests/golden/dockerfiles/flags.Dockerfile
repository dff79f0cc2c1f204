FROM --platform=linux/amd64 a AS "b"
COPY --from=b --chown=me:you a b c/
COPY -- --file /x
RUN --mount=type=cache,id="a b",target=/c --network=none make
ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://example.com/a /a
HEALTHCHECK NONE
