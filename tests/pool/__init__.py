"""A real personal HTCondor pool for tests, without root and without a container."""
