"""What goes wrong with the pool, in one line that says what to do."""


class PoolError(Exception):
    """No usable pool could be had."""
