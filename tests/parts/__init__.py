"""The real parts beside HTCondor that tests use: Docker, Apptainer, an S3 server, servers for HTTP and HTTPS."""
