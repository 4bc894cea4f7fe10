//! The command line of aurora.
