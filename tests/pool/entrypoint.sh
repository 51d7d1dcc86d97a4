# Start the pool, then the container's command.
trap 'exit 2' INT TERM
if [ ! -O ~htrun ]; then
    echo "this image runs as user $(id -u htrun); for another: docker build --build-arg UID=..." >&2
    exit 1
fi
cd /opt/htrun && python -m tests.pool start > /dev/null || exit 1
cd ~- && exec "$@"
