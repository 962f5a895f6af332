//! Talking to the running process: found by the note it left in its data folder, asked over HTTP with its token, each
//! request under a deadline.
