#!/bin/sh
# Compiles requirements/*.in to pinned, hashed files without index addresses.
# The joint solution is dev.txt; the images' files are constrained by it.
set -eu

uv=$(realpath "${1:-uv}")
cd "$(dirname "$0")"

# Named as dependencies by what we use, and never imported by it: 0.6 GB less in the trainer image, and quicker
# imports (torchmetrics imports matplotlib and scipy when it finds them). So pip check complains about these.
shed="oci circuitbreaker paramiko bcrypt pynacl python-pkcs11 asn1crypto
      matplotlib contourpy cycler fonttools kiwisolver pyparsing timm ftfy"
without=""
for package in $shed; do without="$without --no-emit-package $package"; done

compile() {
    "$uv" pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@"
}

# shellcheck disable=SC2086  # a list of options
compile $without dev.in -o dev.txt
# shellcheck disable=SC2086
compile $without -c dev.txt trainer.in -o trainer.txt
compile -c dev.txt operator.in -o operator.txt
compile -c dev.txt --no-deps uv.in -o uv.txt
compile --no-deps photographs.in -o photographs.txt
for isolated in checks sbom; do compile $isolated.in -o $isolated.txt; done
