"""`python -m lgc` is the `lgc` command."""

from lgc.cli import main

if __name__ == "__main__":
    main()
