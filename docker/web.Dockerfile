# The web process, beat, the one-shot services and backups: Django without any deep-learning library,
# not as root, on a root that may be read-only.
FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# pg_dump and pg_restore, of a version that is at least that of the server (docs/operations.md).
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-client \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp tiebreak \
 && install -d -o tiebreak -g tiebreak /backups /var/lib/tiebreak \
      /var/lib/tiebreak/data /var/lib/tiebreak/media /var/lib/tiebreak/static
WORKDIR /srv/tiebreak
COPY requirements/web.txt requirements/web.txt
RUN pip install -r requirements/web.txt
COPY . .
RUN python -m tools.messages compile && python -m compileall -q annotation pipelines formats config
ARG TIEBREAK_CODE_COMMIT=
ENV TIEBREAK_CODE_COMMIT=$TIEBREAK_CODE_COMMIT
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["python", "docker/healthy.py", "web"]
