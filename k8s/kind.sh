#!/usr/bin/env bash
# DEVEX in a cluster of kind on this machine: `up` makes or updates it, `down` removes it and all that is in it.
# ENGINE=podman has it run and build by podman in place of docker.
set -euo pipefail
cd "$(dirname "$0")/.."
export ENGINE=${ENGINE:-docker}
[ "$ENGINE" != podman ] || export KIND_EXPERIMENTAL_PROVIDER=podman

case ${1-} in
  up)
    kind get clusters | grep -qx devex || kind create cluster --name devex --config k8s/kind.yaml
    k8s/images.sh kind build/devex-images.tar
    kind load image-archive build/devex-images.tar --name devex
    k8s/install.sh kind kind-devex
    ;;
  down) kind delete cluster --name devex ;;
  *) echo "usage: k8s/kind.sh up|down" >&2; exit 2 ;;
esac
