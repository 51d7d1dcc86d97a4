"""The functions that are mapped; as a program, ``work.py FUNCTION [LINE...]``, it maps one over arguments or stdin."""

import json
import sys
import time


def double(x: int) -> int:
    """Return twice a number."""
    return 2 * x


def burn(ms: int) -> int:
    """Use so many milliseconds of CPU time and return their number."""
    end = time.process_time() + ms / 1000
    while time.process_time() < end:
        pass
    return ms


if __name__ == "__main__":
    function = globals()[sys.argv[1]]
    sys.stdout.writelines(f"{json.dumps(function(json.loads(line)))}\n" for line in sys.argv[2:] or sys.stdin)
