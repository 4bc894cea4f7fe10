//! The program as scripts see it: exit status, standard output, standard error, what is left on disk.

mod datasets;
mod documents;
mod exits;
mod names;
mod pack;
mod pipes;
mod run;
mod signals;
mod streams;
mod strict;
mod trees;
