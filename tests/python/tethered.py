"""Runs a command for as long as standard input stays open.

    python tethered.py gunicorn config.wsgi --bind ...

A test holds the other end. When it lets go, or is killed, the command and
whatever it has started are ended too, so that no test leaves a process behind.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE = 5  # seconds between asking to end and ending


def main() -> int:
    # A group of its own, so that workers can be reached as well.
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    # Told to end politely, or to load anew, it is the command that is meant.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: command.send_signal(number))
    threading.Thread(target=end_with_stdin, args=(command,), daemon=True).start()
    status = command.wait()
    signal_group(command.pid, signal.SIGKILL)
    return status if status >= 0 else 128 - status


def end_with_stdin(command: subprocess.Popen) -> None:
    while os.read(0, 1024):
        pass
    signal_group(command.pid, signal.SIGTERM)
    try:
        command.wait(GRACE)
    except subprocess.TimeoutExpired:
        signal_group(command.pid, signal.SIGKILL)


def signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    sys.exit(main())
