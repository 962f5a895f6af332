//! The reason of an alert in words: what each algorithm found, with the numbers that made it.
