# syntax=docker/dockerfile:1
# The image of a training pod: torch, composer and streaming in one layer, and this project's code in a thin one on top.
#
#   docker build -f docker/trainer.Dockerfile -t sdbench-trainer \
#     --build-arg VERSION=0.1.0 --build-arg REVISION=$(git rev-parse HEAD) --build-arg CREATED=$(date -u +%FT%TZ) .
#
# The base image only needs Python 3.11 with its venv module; BASE_IMAGE also accepts a digest. The image's environment
# does not hold the build arguments (for a proxy or your own certificate authority), but its history does: never put a
# password into them. See docs/images.md.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS code
COPY trainer/src/sdbench_trainer /opt/sdbench/sdbench_trainer
# Set the modes explicitly, whatever they are in the checkout: every user can read the code and nobody can write it.
RUN mkdir /opt/sdbench/bin \
 && printf '#!/opt/venv/bin/python3\nimport sys\nfrom sdbench_trainer.shards.cli import main\nsys.exit(main())\n' > /opt/sdbench/bin/sdbench-trainer \
 && python3 -m compileall -q --invalidation-mode checked-hash /opt/sdbench \
 && chmod -R u=rwX,go=rX /opt/sdbench \
 && chmod 755 /opt/sdbench/bin/sdbench-trainer

FROM ${BASE_IMAGE}
ARG HTTP_PROXY HTTPS_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR PIP_CERT PIP_INDEX_URL
COPY requirements/trainer.txt /opt/requirements.txt
# One step, so that no layer holds pip, a cache or a second copy: copying the packages from another stage would write
# gigabytes twice. The step removes libraries that torch does not link (multi-GPU solvers), Triton's profiler and
# disassembler, the packages' own tests and static libraries, and from the base image whatever installs packages or lets
# a process change its user.
RUN python3 -m venv /tmp/installer \
 && python3 -m venv --without-pip /opt/venv \
 && /tmp/installer/bin/pip --python /opt/venv/bin/python3 install --disable-pip-version-check \
      --no-deps --require-hashes --only-binary=:all: --no-cache-dir -r /opt/requirements.txt \
 && rm -rf /tmp/installer \
 && rm -rf /opt/venv/lib/python3*/site-packages/nvidia/cusolver/lib/libcusolverMg.so.* \
      /opt/venv/lib/python3*/site-packages/triton/backends/nvidia/lib/cupti \
      /opt/venv/lib/python3*/site-packages/triton/backends/nvidia/bin/nvdisasm \
 && find /opt/venv '(' -type d -name tests -o -name '*.a' ')' -prune -exec rm -rf {} + \
 && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip \
      /usr/lib/python3*/ensurepip /usr/share/python-wheels \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && find / -xdev ! -type l -perm /0022 ! -path /tmp -exec chmod go-w {} +

# The user is numeric, because Kubernetes can check runAsNonRoot for numbers only. Any other number works, too: LOGNAME
# gives the user a name without an entry in /etc/passwd. Libraries write to /tmp, where an emptyDir can be mounted if the
# root file system is read-only.
ENV PATH=/opt/sdbench/bin:/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/sdbench \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    LOGNAME=sdbench \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/.cache \
    HF_HOME=/tmp/.cache/huggingface \
    TORCH_HOME=/tmp/.cache/torch \
    TORCHINDUCTOR_CACHE_DIR=/tmp/.cache/inductor \
    TRITON_CACHE_DIR=/tmp/.cache/triton \
    MPLCONFIGDIR=/tmp/.cache/matplotlib

COPY --from=code /opt/sdbench /opt/sdbench

USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["python3", "-m", "sdbench_trainer.launch"]

ARG VERSION=dev REVISION=unknown CREATED=unknown
LABEL org.opencontainers.image.title="sdbench trainer" \
      org.opencontainers.image.description="Trains and times Stable Diffusion with Composer and streaming shards, for sdbench" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
