"""What goes wrong with a part, in one line."""


class PartError(Exception):
    """A part that tests could use is not to be had."""
