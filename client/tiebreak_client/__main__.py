"""`python -m tiebreak_client`, where the command is not on PATH."""

from tiebreak_client.command import main

raise SystemExit(main())
