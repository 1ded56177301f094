# Both base images must have the same Python at the same path: Debian 13 provides /usr/bin/python3.
ARG BUILD_BASE=docker.io/library/debian:13-slim
ARG BASE=gcr.io/distroless/python3-debian13:nonroot

FROM ${BUILD_BASE} AS build
# Packages are not pinned, so that the build gets the latest fixes of the release. None of them is in the final image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/build.txt requirements/run.txt requirements/
# To use a package mirror, pass a pip.conf as a secret: docker build --secret id=pip.conf,src=pip.conf
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 -m venv /build \
    && python3 -m venv --without-pip /opt/har-exporter \
    && /build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.txt \
    && /build/bin/pip --python /opt/har-exporter install --no-cache-dir --no-compile --require-hashes --only-binary :all: \
        -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
RUN /build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /build/bin/pip --python /opt/har-exporter install --no-index --no-deps --no-compile /wheel/*.whl \
    && find /opt/har-exporter/bin ! -type d ! -name 'python*' ! -name har-exporter -delete

# Runs in the final base image, to compile its standard library too. That image has no shell, and its user, who is not root,
# can write only to /tmp.
FROM ${BASE} AS bytecode
COPY --from=build /opt/har-exporter /opt/har-exporter
COPY image/bytecode.py /
ENV PYTHONPYCACHEPREFIX=/tmp/bytecode
RUN ["/opt/har-exporter/bin/python", "-B", "/bytecode.py"]

FROM ${BASE}
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="har-exporter" \
      org.opencontainers.image.description="Prometheus exporter for Harness Artifact Registry" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/har-exporter /opt/har-exporter
COPY --from=bytecode --chown=0:0 /tmp/bytecode /opt/har-exporter/bytecode
ENV PATH=/opt/har-exporter/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/har-exporter/bytecode \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 10981
STOPSIGNAL SIGTERM
ENTRYPOINT ["har-exporter"]
