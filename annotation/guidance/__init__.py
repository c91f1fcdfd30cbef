"""What annotators read before they vote: guidelines, versions, examples."""
