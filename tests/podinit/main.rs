//! podinit as a process: process 1 of a pid namespace of its own where what is asked needs that, and where the machine lets
//! the tests make one.
