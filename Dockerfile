# All of Balancer's programs in one image; compose.yaml says which of them a container runs.
# Works with the classic builder: no BuildKit needed.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
# dist: as shipped, slow to build. release: builds in half the time, for trying things out.
ARG PROFILE=dist
WORKDIR /src
COPY . .
RUN cargo build --locked --profile "$PROFILE" \
      -p balancer -p controlplane -p dataplane -p balancerctl -p test-backend \
 && mkdir /out \
 && for program in balancer controlplane dataplane balancerctl test-backend; do \
      cp "target/$PROFILE/$program" /out/ || exit 1; \
    done

FROM ${RUNTIME_IMAGE}
RUN groupadd --gid 10001 balancer \
 && useradd --uid 10001 --gid balancer --no-create-home --home-dir /var/lib/balancer --shell /usr/sbin/nologin balancer \
 && install -d -o balancer -g balancer -m 0700 /var/lib/balancer
COPY --from=build /out/ /usr/local/bin/
COPY scripts/probe /usr/local/bin/
COPY config/config.yaml /etc/balancer/config.yaml
USER 10001:10001
WORKDIR /var/lib/balancer
ENV BALANCER_CONFIG=/etc/balancer/config.yaml
# Proxy, control plane, data plane's own admin port.
EXPOSE 8080 9090 9091
STOPSIGNAL SIGTERM
# The control plane, alone or in `balancer`. A container that runs something else names its own port.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["probe", "127.0.0.1", "9090", "/readyz"]
CMD ["balancer"]
