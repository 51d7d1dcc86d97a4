"""The command ``htrun``, and ``python -m htrun``."""

import gc
import signal


def main() -> None:
    """Run the command."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until it can say in words that it was interrupted
    gc.disable()  # until everything is imported: there is no garbage before
    from htrun.cli import main as run

    run()


if __name__ == "__main__":
    main()
