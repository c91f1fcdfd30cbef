"""The whole way from votes to a report as one chain of runs, and the demo world it is shown on."""
