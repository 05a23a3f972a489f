# syntax=docker/dockerfile:1
# The image of a training pod: torch, composer and streaming in one layer, this project's code in a thin one above it.
#
#   docker build -f docker/trainer.Dockerfile -t sdbench-trainer \
#     --build-arg VERSION=0.1.0 --build-arg REVISION=$(git rev-parse HEAD) --build-arg CREATED=$(date -u +%FT%TZ) .
#
# The base needs Python 3.11 with its venv module, and nothing else; BASE_IMAGE takes one by digest too. The build
# arguments for a proxy or an authority of your own are not in the image's environment, but in its history, so put no
# password into them. See docs/images.md.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS code
COPY trainer/src/sdbench_trainer /opt/sdbench/sdbench_trainer
# Whatever the modes in the checkout are, everybody can read it and nobody can write it.
RUN mkdir /opt/sdbench/bin \
 && printf '#!/opt/venv/bin/python3\nimport sys\nfrom sdbench_trainer.shards.cli import main\nsys.exit(main())\n' > /opt/sdbench/bin/sdbench-trainer \
 && python3 -m compileall -q --invalidation-mode checked-hash /opt/sdbench \
 && chmod -R u=rwX,go=rX /opt/sdbench \
 && chmod 755 /opt/sdbench/bin/sdbench-trainer

FROM ${BASE_IMAGE}
ARG HTTP_PROXY HTTPS_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR PIP_CERT PIP_INDEX_URL
COPY requirements/trainer.txt /opt/requirements.txt
# One step, so that no layer holds pip, a cache or a second copy: packages that are copied from a stage are gigabytes
# written twice. Removed again: what torch links nowhere (solvers over several GPUs), the profiler and disassembler of
# Triton, the packages' own tests and static libraries; and of the base, what installs packages or makes another user
# of somebody.
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

# Numeric, because Kubernetes can check runAsNonRoot on numbers only; any other number works as well, which is why the
# user has a name by LOGNAME. What libraries write goes to /tmp: the root file system may be read-only, with an emptyDir
# there.
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
