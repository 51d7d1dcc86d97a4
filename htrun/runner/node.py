"""What ``import htrun`` gives on an execute node, where htrun itself is not installed."""


def __getattr__(name: str) -> object:
    if name == "TransferPath":  # a function gets its files as paths, so that is what the annotation means here
        import pathlib

        return pathlib.Path
    raise AttributeError("module 'htrun' has no attribute %r on an execute node" % name)
