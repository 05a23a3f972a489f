"""Plans what is asked: the grid of Trials, what may not be asked, and what it would cost."""
