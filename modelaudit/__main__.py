"""`python -m modelaudit`: the same as the command `modelaudit`."""

from modelaudit.cli import main

if __name__ == "__main__":
    main()
