"""`python -m vfuse` is `vfuse`."""

from vfuse.cli.main import main

if __name__ == "__main__":
    main()
