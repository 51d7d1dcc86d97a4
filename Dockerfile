# htrun with a personal HTCondor pool, to try it out:
#   docker build -t htrun . && docker run -it --rm htrun
# A directory that is mounted into it needs its owner's id, an ordinary user's:
#   docker build --build-arg UID="$(id -u)" -t htrun .
FROM debian:forky-slim
ARG UID=1000

RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates condor make python3-venv tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid "$UID" --create-home --shell /bin/bash htrun

# The pool is the one of the tests; it uses the installed HTCondor.
WORKDIR /opt/htrun
COPY --chown=htrun pyproject.toml README.md LICENSE ./
COPY --chown=htrun htrun htrun
COPY --chown=htrun tests/parts tests/parts
COPY --chown=htrun tests/pool tests/pool
COPY --chown=htrun tests/tools tests/tools
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir . numpy

# HTCondor takes no jobs from root.
USER htrun
WORKDIR /home/htrun
COPY --chown=htrun examples examples
ENV PATH=/opt/venv/bin:$PATH CONDOR_CONFIG=/home/htrun/.cache/htrun-pool/pool/condor_config
COPY --chown=htrun tests/pool/entrypoint.sh /opt/htrun/
ENTRYPOINT ["tini", "--", "bash", "/opt/htrun/entrypoint.sh"]
CMD ["bash"]
