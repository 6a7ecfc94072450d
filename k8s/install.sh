#!/usr/bin/env bash
# Applies an overlay for trying DEVEX out, and waits until it serves: k8s/install.sh OVERLAY [CONTEXT]. The first time it
# makes up the passwords. The images are on the nodes already.
set -euo pipefail
cd "$(dirname "$0")"
[ $# -ge 1 ] || { echo "usage: k8s/install.sh OVERLAY [CONTEXT]" >&2; exit 2; }
kubectl=(kubectl)
[ -z "${2-}" ] || kubectl+=(--context "$2")

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
secrets() {
  local password
  password=$(random)
  echo "DEVEX_SECRET=$(random)"
  echo "DEVEX_DATABASE_URL=postgres://devex:$password@postgres.devex.svc/devex"
  echo "POSTGRES_PASSWORD=$password"
  echo "DEVEX_S3_ACCESS_KEY=devex"
  echo "DEVEX_S3_SECRET_KEY=$(random)"
}

"${kubectl[@]}" apply --filename base/namespaces.yaml
if [ -z "$("${kubectl[@]}" --namespace devex get secret devex --ignore-not-found --output name)" ]; then
  secrets | "${kubectl[@]}" --namespace devex create secret generic devex --from-env-file=/dev/stdin
fi
"${kubectl[@]}" apply --kustomize "overlays/$1"
for one in statefulset/postgres statefulset/minio deployment/devex; do
  "${kubectl[@]}" --namespace devex rollout status "$one" --timeout 10m
done
echo "DEVEX is at $(sed -n 's/^DEVEX_PUBLIC_URL=//p' components/trial/settings.env)"
echo "The first administrator: ${kubectl[*]} --namespace devex exec deployment/devex -- devex setup-link"
