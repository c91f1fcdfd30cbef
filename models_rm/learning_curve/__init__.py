"""How accuracy grows with the number of votes: cells, a fitted law, a forecast."""
