#![no_std]
//! Raw Linux system calls: the only unsafe code of the workspace.
