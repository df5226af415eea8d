//! What the four programs of the bench share: an upstream that costs next to nothing, a load generator that counts
//! honestly, and the rig that puts a program between them and reads its CPU time from the kernel.
//!
//! None of our own crates is used here: the measured programs are met as processes, over sockets.

pub mod api;
pub mod config;
pub mod dice;
pub mod fail;
pub mod histogram;
pub mod http1;
pub mod load;
pub mod mock;
pub mod process;
pub mod scenario;
pub mod stack;
pub mod table;
pub mod target;
