# Jiexun in a container.
#
#   docker build --target cpu  -t jiexun:cpu  .
#   docker build --target cuda -t jiexun:cuda .     needs NVIDIA's container toolkit and a driver for CUDA 13 to run
#
# The same lock file as `make install`, so the same bytes. Behind a mirror: --build-arg PYTHON=… and PIP_INDEX_URL=….

ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# What OpenCV's wheel loads (scripts/install says the same). Versions are those of the base image's release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 libxcb1 \
    && rm -rf /var/lib/apt/lists/*
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1

FROM base AS build
ARG PIP_INDEX_URL
WORKDIR /app
RUN python -m venv .venv
# Dependencies are a layer of their own: it is made again only when the lock changes.
COPY requirements/runtime.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY ingest/ ingest/
COPY models/ models/
COPY vision/ vision/
COPY dispatcher/ dispatcher/
COPY jiexun/ jiexun/
COPY benchmarks/ benchmarks/
# The compiler and what translates for it stay in this stage.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY requirements/compile.txt requirements/
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && python -m venv /tmp/compile \
    && /tmp/compile/bin/pip install --no-cache-dir --require-hashes -r requirements/compile.txt \
    && /tmp/compile/bin/python -P .venv/lib/python3.11/site-packages/dispatcher/compiled.py \
    && rm -r /tmp/compile \
    && python -P -c "import dispatcher.joint; assert dispatcher.joint.COMPILED" \
    && jiexun --help > /dev/null \
    && python -c "from models.card import find_card; print(find_card('streetscape-v1').version)"

FROM build AS build-cuda
# Never both: onnxruntime and onnxruntime-gpu write into the same folder, and the one that came last wins in part.
COPY requirements/cuda.txt requirements/
RUN pip uninstall --yes onnxruntime \
    && pip install --no-cache-dir --require-hashes -r requirements/cuda.txt

FROM base AS run
RUN groupadd --gid 10001 jiexun \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/jiexun --create-home --shell /usr/sbin/nologin jiexun
# Metrics are for the container's own network; the page stays on the loopback address until there are accounts.
ENV JIEXUN_DATA=/var/lib/jiexun \
    JIEXUN_METRICS_HOST=0.0.0.0 \
    JIEXUN_METRICS_PORT=9464
WORKDIR /var/lib/jiexun
VOLUME /var/lib/jiexun
EXPOSE 9464
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['JIEXUN_METRICS_PORT'] + '/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["jiexun"]
CMD ["--help"]

FROM run AS cuda
COPY --from=build-cuda /app/.venv /app/.venv
ENV LD_LIBRARY_PATH=/app/.venv/lib/python3.11/site-packages/nvidia/cu13/lib:/app/.venv/lib/python3.11/site-packages/nvidia/cudnn/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM run AS cpu
COPY --from=build /app/.venv /app/.venv
