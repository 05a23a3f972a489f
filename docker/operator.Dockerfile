# syntax=docker/dockerfile:1
# The image of the operator and the command line. It holds the trainer's config and report types too, but no torch.
#
#   docker build -f docker/operator.Dockerfile -t sdbench-operator .
#
# The base needs Python 3.11 with its venv module, and nothing else. The build arguments without a default are for
# networks with a proxy or an authority of their own: they are not in the image's environment, but in its history, so
# put no password into them.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE}
ARG HTTP_PROXY HTTPS_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR PIP_CERT PIP_INDEX_URL
COPY requirements/operator.txt /opt/requirements.txt
# One step, so that neither pip nor a second copy of the packages is in any layer.
RUN python3 -m venv /tmp/installer \
 && python3 -m venv --without-pip /opt/venv \
 && /tmp/installer/bin/pip --python /opt/venv/bin/python3 install \
      --no-deps --require-hashes --only-binary=:all: --no-cache-dir -r /opt/requirements.txt \
 && rm -rf /tmp/installer

# Numeric, because Kubernetes can check runAsNonRoot on numbers only; nothing is written but to /tmp.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/sdbench \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp

COPY trainer/src/sdbench_trainer /opt/sdbench/sdbench_trainer
COPY operator/src/sdbench /opt/sdbench/sdbench
RUN python3 -m compileall -q /opt/sdbench \
 && printf '#!/opt/venv/bin/python3\nimport sys\nfrom sdbench.cli import main\nsys.exit(main())\n' > /opt/venv/bin/sdbench \
 && chmod 755 /opt/venv/bin/sdbench

USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["sdbench", "operator"]
