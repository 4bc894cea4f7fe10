//! Where in a dataset the root file system lies.
