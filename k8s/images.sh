#!/usr/bin/env bash
# All images that an overlay needs, in one tar file: k8s/images.sh OVERLAY FILE. Ours (localhost/devex-…) are built, others
# are pulled, by ENGINE (docker, or podman).
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -eq 2 ] || { echo "usage: k8s/images.sh OVERLAY FILE" >&2; exit 2; }
export ENGINE=${ENGINE:-docker} PREFIX=localhost/

mapfile -t images < <(kubectl kustomize "k8s/overlays/$1" |
  sed -n -e 's/^ *image: //p' -e 's/^ *DEVEX_K8S_\(PROXY_\)*IMAGE: //p' | sort -u)
names=()
for image in "${images[@]}"; do
  case $image in
    localhost/devex-*) name=${image#localhost/devex-}; names+=("${name%%:*}") ;;
    *) "$ENGINE" image inspect "$image" >/dev/null 2>&1 || "$ENGINE" pull "$image" ;;
  esac
done
make images NAMES="${names[*]}"
mkdir -p "$(dirname "$2")"
several=()
[ "$ENGINE" != podman ] || several=(--multi-image-archive)
rm -f "$2"
"$ENGINE" save "${several[@]}" --output "$2" "${images[@]}"
