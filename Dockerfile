# syntax=docker/dockerfile:1

# The builder has what librdkafka is compiled with; the image has the binary and the shared libraries it needs.
FROM rust:1.90-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake libssl-dev zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# The dependencies alone, so that a change of the source does not compile them again.
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs && cargo build --release --locked && rm -rf src
COPY src src
COPY schemas schemas
COPY migrations migrations
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin loyalty-worker

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home loyalty
COPY --from=build /src/target/release/loyalty-worker /usr/local/bin/loyalty-worker
USER 10001
ENV LOYALTY_HTTP__LISTEN=0.0.0.0:9464 \
    LOYALTY_LOG__FORMAT=json
EXPOSE 9464
# SIGTERM: the batch in hand is finished and published, and the lanes go to the other workers.
STOPSIGNAL SIGTERM
ENTRYPOINT ["loyalty-worker"]
CMD ["run"]
