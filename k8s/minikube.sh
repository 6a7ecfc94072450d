#!/usr/bin/env bash
# DEVEX in a cluster of minikube on this machine: `up` makes or updates it, `down` removes it and all that is in it.
# ENGINE=podman has it run and build by podman in place of docker.
set -euo pipefail
cd "$(dirname "$0")/.."
export ENGINE=${ENGINE:-docker}

case ${1-} in
  up)
    minikube start --profile devex --driver "$ENGINE" --ports 127.0.0.1:8080:30080
    k8s/images.sh minikube build/devex-images.tar
    minikube image load build/devex-images.tar --profile devex
    k8s/install.sh minikube devex
    ;;
  down) minikube delete --profile devex ;;
  *) echo "usage: k8s/minikube.sh up|down" >&2; exit 2 ;;
esac
