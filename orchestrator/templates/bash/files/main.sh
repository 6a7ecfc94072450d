#!/usr/bin/env bash
set -euo pipefail

files=(*)
echo "Hello from Bash ${BASH_VERSION%%(*}"
echo "There are ${#files[@]} files here:"
printf '  %s\n' "${files[@]}"
