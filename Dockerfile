# One image for the API, the worker and the migrations. Which of them runs is a matter of the command:
#   python -m app.main               the API (the default)
#   python -m app.worker             deadlines and webhooks
#   python -m alembic upgrade head   migrations, once per release, before the two above
# All settings come from the environment; compose.yaml shows the required ones.

FROM python:3.11-slim AS build
WORKDIR /srv/kmr
COPY requirements/runtime.txt requirements/runtime.txt
# Exactly what is locked: a package whose hash differs stops the build.
RUN python -m venv /opt/venv && /opt/venv/bin/python -m pip install --no-deps --require-hashes -r requirements/runtime.txt

# The same base, since the environment made above refers to its interpreter.
FROM python:3.11-slim
WORKDIR /srv/kmr
COPY --from=build /opt/venv /opt/venv
COPY alembic.ini alembic.ini
COPY migrations migrations
COPY app app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    HOST=0.0.0.0 \
    PORT=8000
# Files of evidence, unless they go to a bucket. A volume that is mounted here takes over that anybody may write.
RUN install -d -m 1777 /srv/kmr-files
# A number, so that an orchestrator can see that it is not root; it owns none of the files above and needs none.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=4)"]
CMD ["python", "-m", "app.main"]
