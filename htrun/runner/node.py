"""What ``import htrun`` gives on an execute node, where htrun itself is not installed."""


def mapped(function=None, map_options=None):  # type: ignore[no-untyped-def]  # noqa: ARG001 (as htrun has it)
    """Return the function as it is: on a node it is called, and mapped nowhere."""
    return function if function is not None else mapped


def register_delivery_method(name, descriptors_func, setup_func=None):  # type: ignore[no-untyped-def]
    """Do nothing: that is a matter of where maps are made."""


settings = {}  # type: ignore[var-annotated]
"""What a module sets says nothing to a node."""


class MapOptions(dict):  # type: ignore[type-arg]
    """The options of maps, which say nothing to a node."""


def __getattr__(name: str) -> object:
    if name == "TransferPath":  # a function gets its files as paths, so that is what the annotation means here
        import pathlib

        return pathlib.Path
    if name == "exceptions":
        import importlib

        return importlib.import_module("htrun.exceptions")
    if name in ("checkpoint", "transfer_output_files"):
        from htrun.runner import hooks

        function: object = getattr(hooks, name)
        return function
    raise AttributeError("module 'htrun' has no attribute %r on an execute node" % name)
