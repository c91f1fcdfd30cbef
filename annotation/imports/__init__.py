"""Files in: read row by row in many dialects, checked whole, entered in one transaction."""
