"""The node side: it runs components and records what became of them.

Everything here is also shipped to execute nodes in one zip file, so it uses the standard library and the shipped
cloudpickle only, in the syntax of Python 3.8, and imports nothing else of htrun.
"""
