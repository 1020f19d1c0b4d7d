# syntax=docker/dockerfile:1

# vaeval with everything that a scheduler or a worker needs. For NVIDIA GPUs: docker build --build-arg EXTRA=gpu .
FROM python:3.11-slim AS build

# Name of an optional dependency group of pyproject.toml, or nothing.
ARG EXTRA=""

RUN python -m venv /opt/vaeval
ENV PATH=/opt/vaeval/bin:$PATH
WORKDIR /source

# Dependencies first: this layer, large and slow, is built again only when one of these two files changes.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import sys, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*project['dependencies'], *(line for extra in sys.argv[1:] for line in project['optional-dependencies'][extra]), sep='\n')" ${EXTRA} > requirements.txt \
    && pip install --constraint constraints.txt --requirement requirements.txt

COPY README.md LICENSE ./
COPY cli cli
COPY migrations migrations
COPY scheduler scheduler
COPY vaeval_core vaeval_core
COPY workers workers
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps . \
    && pip check


FROM python:3.11-slim

# A user without rights. The folder is owned by it, so that a new volume mounted there is, too.
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin vaeval \
    && install --directory --owner vaeval --group vaeval /var/lib/vaeval
COPY --from=build /opt/vaeval /opt/vaeval

ENV PATH=/opt/vaeval/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    VAEVAL_HOME=/var/lib/vaeval

USER vaeval
WORKDIR /var/lib/vaeval
ENTRYPOINT ["vaeval"]
CMD ["--help"]
