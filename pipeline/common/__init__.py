"""What every room may use: errors in one line, whole files, the screen, names, words, processes."""
