# One Dockerfile for every image: stages `candidate` (runs what an agent wrote) and `judge` (never does).
# The build needs no network: `autoresearch build` sends the wheels, which the host's pip checked against
# requirements/image-*.lock. BASE is any image with Python 3.11: a registry image by default, or the
# air-gapped one that `autoresearch build` makes with debootstrap when no registry answers.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS wheels
COPY wheelhouse /wheelhouse
COPY image.lock /image.lock
RUN python3 -c 'import sys; assert sys.version_info[:2] == (3, 11), "BASE needs Python 3.11"' \
    && python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --quiet --no-cache-dir --no-index --find-links /wheelhouse \
       --require-hashes -r /image.lock \
    && /opt/venv/bin/pip uninstall --quiet --yes pip setuptools

FROM ${BASE} AS candidate
COPY --from=wheels /opt/venv /opt/venv
COPY trainer_jax /opt/venv/lib/python3.11/site-packages/trainer_jax
# A job runs as a user of its own out of two ranges (sandbox/job_user.py); a passwd line for each keeps libraries that look
# the user up from failing. 65532, "nonroot" in distroless images, is for whoever starts the image by hand.
RUN for id in 65532 $(seq 60600 61111) $(seq 2100000000 2100000511); do \
      echo "sandbox:x:$id:$id::/tmp:/usr/sbin/nologin" >> /etc/passwd; echo "sandbox:x:$id:" >> /etc/group; done \
    && mkdir -p /work /data /out /judge /art \
    && /opt/venv/bin/python -m compileall -q /opt/venv/lib/python3.11/site-packages/trainer_jax
WORKDIR /work
USER 65532:65532

FROM candidate AS judge
USER 0:0
COPY judge /opt/venv/lib/python3.11/site-packages/judge
RUN rm -rf /opt/venv/lib/python3.11/site-packages/trainer_jax \
    && /opt/venv/bin/python -m compileall -q /opt/venv/lib/python3.11/site-packages/judge
USER 65532:65532
