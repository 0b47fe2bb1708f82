#!/usr/bin/env python3
import os
import sys

from django.core.management import execute_from_command_line

from astrade.local import servers_for


def main() -> None:
    """Run a management command with development settings unless told otherwise, on servers named or embedded."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "astrade.settings.dev")
    with servers_for(sys.argv):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
