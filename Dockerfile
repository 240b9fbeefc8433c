# The image of `pgwarden serve`: node, dist/ and what it needs to run; no shell, no package manager, no npm.
# It writes to /var/lib/pgwarden alone, so that the root file system may be read-only (docs/operations.md,
# "Installing"; why these bases: docs/adr/0027-images-and-manifests.md).
#
# A tag can be moved, a digest cannot. A build that is released gives both with theirs, as the registry tells
# it (`docker buildx imagetools inspect IMAGE`):
#   docker build --build-arg NODE_IMAGE=node:22.21.1-bookworm-slim@sha256:... \
#     --build-arg RUNTIME_IMAGE=gcr.io/distroless/nodejs22-debian12:nonroot@sha256:... .
ARG NODE_IMAGE=node:22.21.1-bookworm-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/nodejs22-debian12:nonroot

FROM ${NODE_IMAGE} AS build
WORKDIR /app
# The lock file's packages and no others; no script of any of them runs. The demo's PostgreSQL is optional.
COPY .npmrc package.json package-lock.json ./
RUN npm ci --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npx tsc -p tsconfig.build.json --sourceMap false --tsBuildInfoFile tsbuildinfo
# What only compilers, debuggers and people read is half of the packages; licences stay.
RUN npm prune --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error \
    && find node_modules -depth \( -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.test.js' \
        -o -iname 'readme*' -o -iname 'changelog*' -o -name .package-lock.json \) \
        -o -name test -o -name tests -o -name __tests__ -o -name .github -o -name .bin \) -exec rm -rf {} + \
    && mkdir -p state/pgwarden

FROM ${RUNTIME_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pgwarden" \
      org.opencontainers.image.description="An access proxy for PostgreSQL: just-in-time tokens, statement policy, tamper-evident audit" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="gcr.io/distroless/nodejs22-debian12:nonroot"
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# A new volume begins with this directory's owner.
COPY --from=build --chown=65532:65532 /app/state/ /var/lib/
VOLUME ["/var/lib/pgwarden"]

ENV NODE_ENV=production \
    PGWARDEN_HEALTH_URL=http://127.0.0.1:8432/healthz
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 6432 8432
STOPSIGNAL SIGTERM
# With http.tls: PGWARDEN_HEALTH_URL=https://NAME:8432/healthz, and NODE_EXTRA_CA_CERTS.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/nodejs/bin/node", "-e", "fetch(process.env.PGWARDEN_HEALTH_URL, { signal: AbortSignal.timeout(4000) }).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/main.js"]
CMD ["serve", "--config", "/etc/pgwarden/pgwarden.yaml"]
