//! aurora: tests.
