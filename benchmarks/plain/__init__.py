"""Plain implementations, as an ordinary user would write them; never edited together with ours."""
