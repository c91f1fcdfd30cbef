"""People and programs that log in: accounts, invitations, tokens, second factors, leaving."""
