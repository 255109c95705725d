# One image for the web site and the workers. Everything is pinned: base images here, Python
# packages with the hash of every file in requirements.lock (for Linux on x86-64), front-end libraries
# in package-lock.json.
FROM python:3.11.14-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LABEL_AUDIT_HOME=/data
WORKDIR /app

FROM node:22.21.1-bookworm-slim AS front
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --silent

FROM base
COPY pyproject.toml requirements.lock README.md ./
COPY audit audit
COPY reviews reviews
COPY scoring scoring
# Compiled here, once: the container's own files can't be written.
RUN pip install --no-cache-dir --compile --require-hashes -r requirements.lock \
    && pip install --no-cache-dir --no-deps --no-build-isolation -e . \
    && python -m compileall -q audit reviews scoring
COPY manage.py ./
COPY templates templates
COPY static static
COPY --from=front /app/node_modules node_modules
RUN useradd --create-home --uid 10001 audit && mkdir --mode 700 /data && chown audit /data
USER 10001
VOLUME /data
EXPOSE 8000
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0"]
