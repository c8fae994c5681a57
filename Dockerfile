# Two variants of one image:  docker build --target base .   |   docker build --target full .
# They hold the same scanner today; `full` installs the `all` extra, so that what it pulls in later comes along.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY modelaudit ./modelaudit
RUN python -m venv /opt/modelaudit && /opt/modelaudit/bin/pip install --no-cache-dir .

FROM build AS build-full
RUN /opt/modelaudit/bin/pip install --no-cache-dir '.[all]'

FROM python:3.12-slim AS runtime
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin modelaudit
ENV PATH=/opt/modelaudit/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /data
USER 10001
ENTRYPOINT ["modelaudit"]
CMD ["--help"]

FROM runtime AS full
COPY --from=build-full /opt/modelaudit /opt/modelaudit

FROM runtime AS base
COPY --from=build /opt/modelaudit /opt/modelaudit
