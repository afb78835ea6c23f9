"""`python -m eradio`: the command line where the script is not on the path."""

from eradio.cli import main

if __name__ == "__main__":
    main()
