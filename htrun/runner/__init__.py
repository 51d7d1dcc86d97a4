"""The node side: it runs components and records what became of them.

Everything here is also shipped to execute nodes in one zip file, so it uses the standard library and the shipped
cloudpickle only, in the syntax of Python 3.8, and imports nothing else of htrun.

A job of a short function takes little longer than its imports do. So what few jobs need is imported where they need it,
and instead of importing ``typing`` for its ``TYPE_CHECKING``, modules define that themselves, which type checkers know.
"""
