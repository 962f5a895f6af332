# Tidemark in a small image: built from source, one binary, not root.
#
#   docker build -t tidemark .
#   docker run -p 127.0.0.1:9680:9680 -v tidemark:/var/lib/tidemark -v ./tidemark.yaml:/etc/tidemark/tidemark.yaml:ro tidemark
#
# What `tidemark init` writes is for one machine. In a container set
#   data_dir: /var/lib/tidemark     relative, it lies beside the file, outside of the volume: lost with the container
#   http: {listen: "0.0.0.0:9680", token: "${TIDEMARK_TOKEN}"}     `-p` does not reach 127.0.0.1 of the container
# and give the token by `docker run -e TIDEMARK_TOKEN=..`.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked -p tidemark \
 && install -D target/dist/tidemark /out/tidemark

FROM debian:bookworm-slim
# Zones are in the binary; certificates of the system are not.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/tidemark --create-home tidemark \
 && install -d -o tidemark -g tidemark /etc/tidemark
COPY --from=build /out/tidemark /usr/local/bin/tidemark
USER tidemark
WORKDIR /var/lib/tidemark
VOLUME /var/lib/tidemark
EXPOSE 9680
ENV TIDEMARK_CONFIG=/etc/tidemark/tidemark.yaml
# Ready: consumers run and the listener answers.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["tidemark", "ready"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tidemark"]
CMD ["run"]
