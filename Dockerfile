# htrun with a personal HTCondor pool, to try it out:
#   docker build -t htrun . && docker run -it --rm htrun
FROM debian:forky-slim

RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates condor python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --shell /bin/bash htrun

# The pool is the one of the tests; it uses the installed HTCondor.
WORKDIR /opt/htrun
COPY pyproject.toml README.md LICENSE ./
COPY htrun htrun
COPY examples examples
COPY tests/pool tests/pool
COPY tests/tools tests/tools
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir .

# HTCondor takes no jobs from root.
USER htrun
WORKDIR /home/htrun
ENV PATH=/opt/venv/bin:$PATH
ENTRYPOINT ["bash", "-c", "cd /opt/htrun && python -m tests.pool start > /dev/null && eval \"$(python -m tests.pool env)\" && cd ~- && exec \"$@\"", "htrun"]
CMD ["bash"]
