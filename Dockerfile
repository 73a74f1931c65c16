# The gateway alone: what requirements.lock names, this package with the JavaScript client and the dashboard that it serves, no build
# tools, no root.

FROM node:22-slim AS pages
WORKDIR /src/clients/js
COPY clients/js/package.json clients/js/package-lock.json clients/js/.npmrc ./
RUN npm ci
COPY LICENSE /src/
COPY clients/js ./
RUN npm run build && gzip --best --no-name --keep dist/browser/*.js
WORKDIR /src/dashboard
COPY dashboard/package.json dashboard/package-lock.json dashboard/.npmrc ./
RUN npm ci
COPY dashboard ./
RUN npm run build && gzip --best --no-name --keep dist/index.html dist/assets/*.js dist/assets/*.css

FROM python:3.11-slim AS build
ENV PATH=/opt/frys/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/frys
# The dependencies before the code: a change of the code alone reuses this layer.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY --from=pages /src/clients/js/dist/browser gateway/admin/client
COPY --from=pages /src/dashboard/dist gateway/admin/dashboard
RUN pip install --no-index --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home frys
COPY --from=build /opt/frys /opt/frys
ENV PATH=/opt/frys/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER frys
# WebSocket; admin: health, metrics, HTTP API
EXPOSE 8765 8766
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8766/healthz', timeout=2)"]
ENTRYPOINT ["frys"]
# From elsewhere the container is reached only by ports that are published. Where strangers reach these, ask for tokens:
# serve --host 0.0.0.0 --keys file:/keys/keys.json
CMD ["serve", "--host", "0.0.0.0", "--insecure"]
