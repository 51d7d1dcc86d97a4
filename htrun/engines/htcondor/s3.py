"""Sending output files to S3: URLs that are signed when jobs are submitted.

HTCondor signs such URLs itself when a job ends, but its access point (seen with 25.14) then refuses the request of its
own execute point with "Attempt to write to illegal sandbox path", and holds the job whose file has been stored. What is
signed beforehand goes by HTTPS like any other URL.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from htrun.exceptions import EngineError
from htrun.urls import split

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNED_SECONDS = 7 * 24 * 3600
"""How long a signature is good for: the longest that S3 knows (AWS Signature Version 4, "X-Amz-Expires")."""
_REGION = "us-east-1"  # HTCondor's default too


def signed(url: str, options: Mapping[str, str]) -> str:
    """Return the HTTPS URL to which a file can be sent in the place of an ``s3://`` one.

    Parameters
    ----------
    url : str
        As HTCondor has them: ``s3://server.with.dots/bucket/key`` or ``s3://bucket/key``.
    options : mapping of str to str
        The submit commands of all jobs, those with the credentials among them.

    Raises
    ------
    EngineError
        If what signs URLs is not installed, or the credentials are not there.
    """
    try:
        from botocore.auth import S3SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
    except ImportError:
        raise EngineError(f"{url}: what speaks s3 is not installed: pip install 'htrun[s3]'") from None
    region = options.get("aws_region", _REGION).strip('"')
    _, server, rest = split(url)
    if "." not in server:  # a bucket of Amazon's
        server = f"{server}.s3.{region}.amazonaws.com"
    request = AWSRequest("PUT", f"https://{server}{quote(rest, safe='/~')}")
    credentials = Credentials(*(_read(options, kind) for kind in ("access_key_id_file", "secret_access_key_file")))
    S3SigV4QueryAuth(credentials, "s3", region, expires=SIGNED_SECONDS).add_auth(request)
    return str(request.url)


def _read(options: Mapping[str, str], kind: str) -> str:
    for option in (f"aws_{kind}", f"s3_{kind}"):
        if option in options:
            try:
                return Path(options[option]).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise EngineError(f"{option}: {options[option]}: {error.strerror}") from None
    raise EngineError(f"sending files to S3 needs the option aws_{kind}, the same for all components")
