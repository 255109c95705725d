# One image for the web site and the workers.
FROM python:3.11-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LABEL_AUDIT_HOME=/data
WORKDIR /app

FROM node:22-bookworm-slim AS front
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --silent

FROM base
COPY pyproject.toml constraints.txt README.md ./
COPY audit audit
COPY reviews reviews
COPY scoring scoring
RUN pip install --no-cache-dir -c constraints.txt uv \
    && uv pip install --system --no-cache --compile-bytecode -c constraints.txt -e .
COPY manage.py ./
COPY templates templates
COPY static static
COPY --from=front /app/node_modules node_modules
RUN useradd --create-home --uid 10001 audit && mkdir /data && chown audit /data
USER audit
VOLUME /data
EXPOSE 8000
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0"]
