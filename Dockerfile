# Two images from one file; docs/images.md says more.
#
#   docker build --target operator  -t mlops-operator:0.1.0  .
#   docker build --target workloads -t mlops-workloads:0.1.0 .
#
# A model's bits depend on the Python minor version, too: models trained in the image equal those of `mlops run` when
# both have the same one (--build-arg BASE_IMAGE=python:3.11-slim).
ARG BASE_IMAGE=python:3.12-slim

# Empty, so that pip asks its index. `--build-context wheels=FOLDER` puts a folder of wheels here, and pip asks nobody.
FROM scratch AS wheels

# What installs; nothing of it is in the images.
FROM ${BASE_IMAGE} AS tools
COPY hack/images/build.lock hack/images/install.sh requirements-operator.lock requirements-workloads.lock /build/
RUN --mount=type=bind,from=wheels,target=/run/wheels \
    python3 -m venv --without-pip /build/venv && \
    sh /build/install.sh libraries /build/venv /build/build.lock

# The package by itself: a new version of it is a layer of a few megabytes on libraries that nodes have already.
FROM ${BASE_IMAGE} AS package
# Not FROM tools: buildah 1.28 mounts a cached stage below as it should only when something is copied from it, too.
COPY --from=tools /build /build
COPY pyproject.toml README.md LICENSE /build/source/
COPY operator /build/source/operator
RUN python3 -m venv --without-pip /opt/mlops && sh /build/install.sh package /opt/mlops /build/source /package

FROM ${BASE_IMAGE} AS workloads
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="mlops-workloads" \
      org.opencontainers.image.description="The pods of mlops-operator: ingest, train, verify, serve, drift" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/mlops/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 PYTHONNOUSERSITE=1
# Installed in place: copied from another stage, 600 MB would be written twice.
RUN --mount=type=bind,from=wheels,target=/run/wheels --mount=type=bind,from=tools,source=/build,target=/run/build \
    python3 -m venv --without-pip /opt/mlops && \
    sh /run/build/install.sh libraries /opt/mlops /run/build/requirements-workloads.lock
COPY --from=package /package/opt/mlops/lib /opt/mlops/lib
WORKDIR /
USER 65532:65532
CMD ["python", "-P", "-m", "mlops.workloads"]

# The operator says in which environment a run will train without having the libraries itself.
FROM workloads AS environment
RUN python -c "from mlops.workloads.train import environment; print(environment.digest())" >/tmp/environment-digest

FROM ${BASE_IMAGE} AS operator
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="mlops-operator" \
      org.opencontainers.image.description="Keeps machine-learning models right after the day they were trained" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/mlops/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 PYTHONNOUSERSITE=1
RUN --mount=type=bind,from=wheels,target=/run/wheels --mount=type=bind,from=tools,source=/build,target=/run/build \
    python3 -m venv --without-pip /opt/mlops && \
    sh /run/build/install.sh libraries /opt/mlops /run/build/requirements-operator.lock
COPY --from=package /package/opt/mlops/bin/mlops-operator /opt/mlops/bin/mlops-operator
COPY --from=package /package/opt/mlops/lib /opt/mlops/lib
COPY --from=environment /tmp/environment-digest /etc/mlops/environment-digest
WORKDIR /
USER 65532:65532
ENTRYPOINT ["mlops-operator"]
