# dragoman-server on Debian bookworm: no root, no capabilities, nothing written to the root file system.
#   docker build --build-arg SOURCE_COMMIT=$(git rev-parse --short HEAD) -t dragoman:0.1.0 .
# tests/deploy/image_test.py makes the same root file system without a Docker engine; it reads this file.

FROM debian:bookworm-slim AS build
WORKDIR /src
# The packages change less often than the source.
COPY scripts/bootstrap.sh scripts/bootstrap.sh
RUN apt-get update -q && apt-get install -y -q --no-install-recommends g++ && scripts/bootstrap.sh
COPY . .
ARG SOURCE_COMMIT=unknown
ENV SOURCE_COMMIT=${SOURCE_COMMIT}
RUN scripts/build.sh release dragoman-server && strip build/release/bin/dragoman-server

FROM debian:bookworm-slim AS runtime
RUN apt-get update -q && apt-get install -y -q --no-install-recommends \
      libabsl20220623 libc-ares2 libcivetweb1 libfmt9 libgrpc++1.51 libhwy1 libicu72 \
      libprometheus-cpp-core1.0 libprotobuf32 libre2-9 libspdlog1.10 libssl3 libstdc++6 zlib1g \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/*.log /var/log/apt
COPY --from=build /src/build/release/bin/dragoman-server /usr/bin/dragoman-server
# The bundled model. Another one is mounted, read-only, and named by DRAGOMAN_MODEL.
COPY model/pretrained/ /usr/share/dragoman/model/
# No --insecure here: without a certificate the server does not start unless it is told to.
ENV DRAGOMAN_MODEL=/usr/share/dragoman/model
ENV DRAGOMAN_LISTEN=0.0.0.0:8443
ENV DRAGOMAN_ADMIN_LISTEN=0.0.0.0:9464
EXPOSE 8443 9464
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/bin/dragoman-server", "--probe"]
ENTRYPOINT ["/usr/bin/dragoman-server"]
